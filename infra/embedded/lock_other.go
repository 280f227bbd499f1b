//go:build !unix

package embedded

import (
	"errors"
	"io"
	"io/fs"
	"os"
)

// errLocked is the error of a file that another process has locked.
var errLocked = errors.New("locked by another process")

// lockFileAt makes a file that must not exist, and removes it when it is closed.
func lockFileAt(name string) (io.Closer, error) {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil, errLocked
	}
	return &ownFile{f}, err
}

// ownFile is a file that is removed when it is closed.
type ownFile struct{ *os.File }

func (f *ownFile) Close() error { return errors.Join(f.File.Close(), os.Remove(f.Name())) }

// lockHint says what to do about a lock that nobody holds.
func lockHint(name string) string { return "if no process uses it, after a crash, remove " + name }

// syncDir does nothing: here a directory cannot be synced.
func syncDir(string) error { return nil }
