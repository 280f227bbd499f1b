package cli

import (
	"io"
	"testing"

	"github.com/pitwheel/pitwheel/infra/app"
	"github.com/pitwheel/pitwheel/infra/settings"
)

// A command that works in rounds, as with --watch, connects once.
func TestReach_Again(t *testing.T) {
	t.Parallel()
	b := newTestStore(t)
	d, err := app.Define(testApplication())
	if err != nil {
		t.Fatal(err)
	}
	c := &cli{Definition: d, environ: b.environ, stdout: io.Discard, stderr: io.Discard}
	if c.settings, err = d.Settings.Load(settings.Source{Environ: b.environ}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, drivers := range c.drivers {
			_ = drivers.Close()
		}
	})
	var last *client
	for _, tt := range []struct {
		commands  bool
		connected int // how often until now
	}{{storeOnly, 1}, {storeOnly, 1}, {withCommands, 2}, {withCommands, 2}, {storeOnly, 2}} {
		if last, err = c.reach(t.Context(), tt.commands); err != nil {
			t.Fatal(err)
		}
		if len(c.drivers) != tt.connected || tt.commands && last.Commands == nil {
			t.Fatalf("connected %d times instead of %d; the client is %+v", len(c.drivers), tt.connected, last)
		}
	}
	if _, err := last.Store.End(t.Context()); err != nil {
		t.Error(err)
	}
}
