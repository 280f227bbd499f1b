package settings_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/settings"
)

// loadFile loads a file with the settings namespace and level, and the handler h.
func loadFile(t *testing.T, text string) (settings.Values, error) {
	t.Helper()
	set, err := settings.NewSet("shop", []string{"h"}, settings.Setting{Name: "namespace", Usage: "prefix"}, settings.Setting{Name: "level", Default: "info", Usage: "log level"})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "shop.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return set.Load(settings.Source{File: path})
}

// YAML would take 0123 for the number 83, and yes for a word or a switch.
func TestLoad_FileAsWritten(t *testing.T) {
	t.Parallel()
	for written, want := range map[string]string{
		"0123": "0123", "0o17": "0o17", "0x1F": "0x1F", "1_000": "1_000", "1e3": "1e3", "1.50": "1.50", "2026-11-28": "2026-11-28", "yes": "yes", "True": "True",
		`"quoted # text"`: "quoted # text", "'0123'": "0123", "text # a comment": "text", "": "", "~": "", "null": "",
	} {
		v, err := loadFile(t, "namespace: "+written+"\n")
		if err != nil || v.String("namespace") != want {
			t.Errorf("%q is %q, %v; want %q", written, v, err, want)
		}
	}
	v, err := loadFile(t, "x-defaults: &d\n")
	if err == nil {
		t.Errorf("an unknown key: %v", v)
	}
	v, err = loadFile(t, "handlers:\n  h: {concurrency: 64, timeout: 10s, rate: 1.5, paused: true}\nlevel: &l debug\nnamespace: *l\n")
	if err != nil || *v.Handlers["h"].Concurrency != 64 || !*v.Handlers["h"].Paused || *v.Handlers["h"].Rate != 1.5 || v.String("namespace") != "debug" {
		t.Errorf("%+v, %v", v.Handlers, err)
	}
	if _, err := loadFile(t, "handlers:\n  h: {concurrency: 0x40}\n"); err == nil || !strings.Contains(err.Error(), `handlers.h.concurrency is "0x40"; it must be a whole number`) {
		t.Errorf("a number of another base: %v", err)
	}
}

func TestLoad_FileWithSecondDocument(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"namespace: a\n---\nnamespace: b\n": "line 2: a second document begins here",
		"namespace: a\n---\n":               "a second document begins here",
		"namespace: a\n---\n}\n":            "did not find expected",
	} {
		_, err := loadFile(t, text)
		if events.CodeOf(err) != events.CodeConfig || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "shop.yaml") {
			t.Errorf("%q: got %v; want %q", text, err, want)
		}
	}
	for _, text := range []string{"", "# nothing\n", "---\nnamespace: a\n", "namespace: a\n...\n"} {
		v, err := loadFile(t, text)
		want := ""
		if strings.Contains(text, "namespace") {
			want = "a"
		}
		if err != nil {
			t.Errorf("%q: %v", text, err)
		} else if diff := cmp.Diff(want, v.String("namespace")); diff != "" {
			t.Errorf("%q (-want +got):\n%s", text, diff)
		}
	}
}
