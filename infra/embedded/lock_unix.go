//go:build unix

package embedded

import (
	"errors"
	"io"
	"os"
	"syscall"
)

// errLocked is the error of a file that another process has locked.
var errLocked = errors.New("locked by another process")

// lockFileAt locks a file until it is closed or the process ends.
func lockFileAt(name string) (io.Closer, error) {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		if errors.Is(err, syscall.EWOULDBLOCK) {
			err = errLocked
		}
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// lockHint says what to do about a lock that nobody holds.
func lockHint(string) string { return "the lock ends with the process that holds it" }

// syncDir makes a rename in a directory durable.
func syncDir(name string) error {
	d, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
