package cli

import (
	"context"
	"io"
	"os"
)

// input returns stdin, whose reads fail once ctx has ended. Reading a terminal cannot be
// interrupted, so that the goroutine that does it then ends with the process.
func (c *cli) input(ctx context.Context) io.ReadCloser {
	in, out := io.Pipe()
	context.AfterFunc(ctx, func() { _ = out.CloseWithError(ctx.Err()) }) // It never fails.
	go func() {
		_, err := io.Copy(out, c.stdin)
		_ = out.CloseWithError(err)
	}()
	return in
}

// open opens the file that an argument names, or stdin for a dash.
func (c *cli) open(ctx context.Context, name string) (io.ReadCloser, error) {
	if name == "-" {
		return c.input(ctx), nil
	}
	file, err := os.Open(name)
	if err != nil {
		return nil, usagef("%w", err)
	}
	// A directory can be opened, and fails only when it is read.
	if is, err := file.Stat(); err == nil && is.IsDir() {
		_ = file.Close()
		return nil, usagef("%s is a directory; it must be a file, or - for stdin", name)
	}
	return file, nil
}
