package witness_test

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/witness"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func record(t *testing.T, f *witness.File, epoch uint64, positions ...uint64) {
	t.Helper()
	confirmed, err := f.Record(t.Context(), events.Witnessed{Epoch: epoch, Positions: positions})
	if err == nil {
		err = confirmed()
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestFile_KnowsTheLastRecord(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "state", "witness.json")
	f := witness.Open(path, slog.New(slog.DiscardHandler))
	if got, err := f.Witnessed(t.Context()); err != nil || got.Positions != nil {
		t.Errorf("a new witness knows %+v, %v", got, err)
	}
	record(t, f, 1, 5, 7)
	record(t, witness.Open(path, slog.New(slog.DiscardHandler)), 0, 6, 2, 1) // Of another process.
	got, err := f.Witnessed(t.Context())
	if diff := cmp.Diff(events.Witnessed{Epoch: 1, Positions: events.Cursor{6, 7, 1}}, got); err != nil || diff != "" {
		t.Errorf("%v, (-want +got)\n%s", err, diff)
	}
	left, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(left) != 1 {
		t.Errorf("%d files are left, %v", len(left), err)
	}
	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Witnessed(t.Context()); events.CodeOf(err) != events.CodeUndecodable || !strings.Contains(err.Error(), path) {
		t.Errorf("a damaged file: %v", err)
	}
}

// A file that cannot be written is told once, and holds up nothing.
func TestFile_CannotBeWritten(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	f := witness.Open(filepath.Join(file, "witness.json"), slog.New(slog.NewTextHandler(&log, nil)))
	record(t, f, 0, 1)
	record(t, f, 0, 2)
	if n := strings.Count(log.String(), "cannot be written"); n != 1 {
		t.Errorf("it was told %d times:\n%s", n, &log)
	}
}
