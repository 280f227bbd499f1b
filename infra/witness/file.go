// Package witness remembers in a local file how far the log of a store was published, where
// there is no RabbitMQ that could: see router.Witness.
//
// The file is as good as its disk: one that goes with its container remembers nothing, and
// an instance on another machine has another one.
package witness

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router"
)

var _ router.Witness = (*File)(nil)

// File is a [router.Witness] in a file. Processes on one machine may share it. It is safe
// for concurrent use.
type File struct {
	path string
	log  *slog.Logger

	mu     sync.Mutex
	failed bool // whether it was logged that the file cannot be written
}

// Open returns the witness in the file of the given name, which need not exist. Nothing is
// read or written yet.
func Open(path string, logger *slog.Logger) *File { return &File{path: path, log: logger} }

// DefaultPath returns where the witness of a store is kept if nothing else is set: in the
// user's state directory, $XDG_STATE_HOME or ~/.local/state, under the application's name.
// It is "" if there is no such directory. The store is what distinguishes it from others,
// such as its address and namespace; the name of the file has a hash of it.
func DefaultPath(application, namespace, store string) string {
	dir := os.Getenv("XDG_STATE_HOME")
	if dir == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return ""
		}
		dir = filepath.Join(home, ".local", "state")
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte(store)) // It never fails.
	name := "witness"
	if namespace != "" {
		name += "-" + namespace
	}
	return filepath.Join(dir, application, fmt.Sprintf("%s-%x.json", name, h.Sum64()))
}

// Path returns the name of the file.
func (f *File) Path() string { return f.path }

// Witnessed returns what was recorded last; the zero value if there is no file. A file that
// is not a record is an error with the code UNDECODABLE, one that cannot be read with CONFIG.
func (f *File) Witnessed(context.Context) (events.Witnessed, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.read()
}

func (f *File) read() (w events.Witnessed, err error) {
	text, err := os.ReadFile(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return w, nil
	}
	if err != nil {
		return w, events.Errorf(events.CodeConfig, "the file that is the witness of the log cannot be read: %w", err).WithHint("name another one, or none")
	}
	if err := json.Unmarshal(text, &w); err != nil {
		return w, events.Errorf(events.CodeUndecodable, "the file %s is not the witness of a log: %w", f.path, err).WithHint("move it away")
	}
	return w, nil
}

// Record replaces the file. If it cannot be written, that is logged once, and the log goes
// on without a witness.
func (f *File) Record(ctx context.Context, w events.Witnessed) (confirmed func() error, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if before, err := f.read(); err == nil { // Another process may have written more.
		w.Epoch = max(w.Epoch, before.Epoch)
		w.Positions = w.Positions.Max(before.Positions)
	}
	next, err := f.write(w)
	if err != nil {
		if !f.failed {
			f.failed = true
			f.log.WarnContext(ctx, "the file that is the witness of the log cannot be written: a Redis that loses the end of the log while no instance runs is not noticed",
				slog.String("file", f.path), slog.Any("error", err))
		}
		return func() error { return nil }, nil
	}
	f.failed = false
	// The new file is in place, and survives a crash of this process. To survive one of the
	// machine takes milliseconds, in which the events are published already.
	synced := make(chan error, 1)
	go func() {
		err := next.Sync()
		synced <- errors.Join(err, next.Close())
	}()
	return func() error { return <-synced }, nil
}

// write puts a new file into the place of the old one, and returns it open.
func (f *File) write(w events.Witnessed) (*os.File, error) {
	text, err := json.Marshal(w)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(f.path), 0o700); err != nil {
		return nil, err
	}
	next, err := os.CreateTemp(filepath.Dir(f.path), filepath.Base(f.path)+".*")
	if err != nil {
		return nil, err
	}
	_, err = next.Write(append(text, '\n'))
	if err == nil {
		err = os.Rename(next.Name(), f.path)
	}
	if err != nil {
		_ = next.Close()
		_ = os.Remove(next.Name())
		return nil, err
	}
	return next, nil
}
