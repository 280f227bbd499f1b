package embedded

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/pitwheel/pitwheel/events"
)

const (
	dataFile = "redis.data"
	lockFile = "lock"
	// The first line of a data file names the format, and its version after that.
	formatName    = "pitwheel dev data "
	formatVersion = "1"
)

// dataDir is a directory with a snapshot. It belongs to one server at a time.
type dataDir struct {
	path string
	lock io.Closer
	last []byte // the latest snapshot that was written or read
}

// openDataDir makes a directory, unless it exists, and locks it. Errors have the code
// CONFIG and the field Dir.
func openDataDir(path string) (*dataDir, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, events.Errorf(events.CodeConfig, "the data directory %s cannot be made: %w", path, err).WithField("Dir")
	}
	name := filepath.Join(path, lockFile)
	lock, err := lockFileAt(name)
	if errors.Is(err, errLocked) {
		return nil, events.Errorf(events.CodeConfig, "the data directory %s is in use by another process", path).WithField("Dir").
			WithHint("stop the other one, or choose another directory; %s", lockHint(name))
	}
	if err != nil {
		return nil, events.Errorf(events.CodeConfig, "the data directory %s cannot be locked: %w", path, err).WithField("Dir")
	}
	return &dataDir{path: path, lock: lock}, nil
}

func (d *dataDir) file() string { return filepath.Join(d.path, dataFile) }

// read returns the snapshot; nil if there is none yet.
func (d *dataDir) read() ([]byte, error) {
	data, err := os.ReadFile(d.file())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, d.unreadable(err)
	}
	header, data, _ := bytes.Cut(data, []byte("\n"))
	version, is := bytes.CutPrefix(header, []byte(formatName))
	switch {
	case !is:
		return nil, d.unreadable(errors.New("it is not a data file"))
	case string(version) != formatVersion:
		return nil, d.unreadable(fmt.Errorf("its format has the version %q, and this program reads %s", version, formatVersion))
	}
	sum, data, _ := bytes.Cut(data, []byte("\n"))
	if string(sum) != checksum(data) {
		return nil, d.unreadable(errors.New("it is damaged: its checksum differs"))
	}
	d.last = data
	return data, nil
}

// unreadable returns the error of a snapshot that cannot be read.
func (d *dataDir) unreadable(err error) error {
	return events.Errorf(events.CodeConfig, "the data file %s cannot be read: %w", d.file(), err).WithField("Dir").
		WithHint("it is left as it is: use the program that has written it, choose another directory, or move it away to start anew")
}

// write replaces the snapshot, unless it is the same. A crash leaves the former or the new one.
func (d *dataDir) write(data []byte) error {
	if d.last != nil && bytes.Equal(d.last, data) {
		return nil
	}
	temp, err := os.CreateTemp(d.path, dataFile+".*")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(temp, "%s%s\n%s\n", formatName, formatVersion, checksum(data))
	if err == nil {
		_, err = temp.Write(data)
	}
	if err == nil {
		err = temp.Sync()
	}
	err = errors.Join(err, temp.Close())
	if err == nil {
		err = os.Rename(temp.Name(), d.file())
	}
	if err != nil {
		return errors.Join(err, os.Remove(temp.Name()))
	}
	d.last = data
	return syncDir(d.path)
}

// close unlocks the directory.
func (d *dataDir) close() error { return d.lock.Close() }

func checksum(data []byte) string { return fmt.Sprintf("%08x", crc32.ChecksumIEEE(data)) }
