package input

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/pitwheel/pitwheel/events"
)

func TestParseRate(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{"": 0, "5/s": 200 * time.Millisecond, "30/m": 2 * time.Second, "2": 500 * time.Millisecond, "0.5/s": 2 * time.Second, "1000/s": time.Millisecond} {
		if got, err := ParseRate(text); err != nil || got != want {
			t.Errorf("%q gives %s, %v, not %s", text, got, err, want)
		}
	}
	for _, text := range []string{"0/s", "-1/s", "5/h", "fast", "5/s/s", "5x/s", "2000/s", "/s", "NaN/s", "Inf/s"} {
		if got, err := ParseRate(text); events.CodeOf(err) != CodeUsage {
			t.Errorf("%q gives %s, %v, not an error of usage", text, got, err)
		}
	}
}

// A byte order mark is left out at the beginning, and nowhere else.
func TestReader_ByteOrderMark(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]string{
		"\xef\xbb\xbf{}": "{}", "{}": "{}", "": "", "\xef\xbb": "\xef\xbb", "\xef\xbb\xbf": "", "x\xef\xbb\xbf": "x\xef\xbb\xbf", "\xef\xbb\xbf\xef\xbb\xbf": "\xef\xbb\xbf",
	} {
		name := filepath.Join(t.TempDir(), "in")
		if err := os.WriteFile(name, []byte(given), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, source := range []string{"-", name} {
			in, err := Open(t.Context(), iotest.OneByteReader(strings.NewReader(given)), source)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(in); err != nil || string(got) != want || string(WithoutBOM([]byte(given))) != want {
				t.Errorf("%q is read from %s as %q, %v", given, source, got, err)
			}
			if err := in.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

// What is in quotes may hold a comma, as it does in pflag's own lists.
func TestList(t *testing.T) {
	t.Parallel()
	var l List
	for _, text := range []string{"a,b", `"c,d"`} {
		if err := l.Set(text); err != nil {
			t.Fatal(err)
		}
	}
	if got := l.GetSlice(); len(got) != 3 || got[2] != "c,d" {
		t.Errorf("the list is %q", got)
	}
}
