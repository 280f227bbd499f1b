package input

import (
	"bufio"
	"bytes"
	"io"
)

// bom is the byte order mark that editors and shells on Windows write before UTF-8.
const bom = "\xef\xbb\xbf"

// WithoutBOM returns text without a byte order mark at its beginning, which JSON does not
// allow.
func WithoutBOM(text []byte) []byte { return bytes.TrimPrefix(text, []byte(bom)) }

// bomReader is a reader without a byte order mark at its beginning.
type bomReader struct {
	io.Closer
	in    *bufio.Reader
	begun bool
}

func withoutBOM(r io.ReadCloser) io.ReadCloser {
	return &bomReader{Closer: r, in: bufio.NewReader(r)}
}

func (r *bomReader) Read(p []byte) (int, error) {
	if !r.begun {
		r.begun = true
		// An error comes again with the next read.
		if first, _ := r.in.Peek(len(bom)); string(first) == bom {
			_, _ = r.in.Discard(len(bom))
		}
	}
	return r.in.Read(p)
}
