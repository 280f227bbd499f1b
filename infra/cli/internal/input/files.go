package input

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
)

// Reader returns stdin without a byte order mark, whose reads fail once ctx has ended. Reading a terminal cannot be
// interrupted, so that the goroutine that does it then ends with the process.
func Reader(ctx context.Context, stdin io.Reader) io.ReadCloser {
	in, out := io.Pipe()
	context.AfterFunc(ctx, func() { _ = out.CloseWithError(ctx.Err()) }) // It never fails.
	go func() {
		_, err := io.Copy(out, stdin)
		_ = out.CloseWithError(err)
	}()
	return withoutBOM(in)
}

// Open opens the file that an argument names, or stdin for a dash. A byte order mark at the
// beginning is not part of what is read.
func Open(ctx context.Context, stdin io.Reader, name string) (io.ReadCloser, error) {
	if name == "-" {
		return Reader(ctx, stdin), nil
	}
	file, err := os.Open(name)
	if err != nil {
		return nil, Usagef("%s cannot be read: %w", name, reason(err)).WithHint("name a file that exists, or - for stdin")
	}
	// A directory can be opened, and fails only when it is read.
	if is, err := file.Stat(); err == nil && is.IsDir() {
		_ = file.Close()
		return nil, Usagef("%s is a directory", name).WithHint("name a file, or - for stdin")
	}
	return withoutBOM(file), nil
}

// reason returns an error of the operating system without the call and the path.
func reason(err error) error {
	var e *fs.PathError
	if errors.As(err, &e) {
		return e.Err
	}
	return err
}
