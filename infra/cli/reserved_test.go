package cli

import (
	"bytes"
	"strings"
	"testing"

	"github.com/pitwheel/pitwheel/infra/settings"
)

// TestApplication_ReservedSettings refuses settings that have the name of something that
// every application has.
func TestApplication_ReservedSettings(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"only", "help", "output", "config", "rate", "sample", "id", "dev", "timeout", "dry_run", "poison", "redis_url", "handlers"} {
		for _, client := range []bool{false, true} {
			a := shop()
			a.Settings = append(a.Settings, settings.Setting{Name: name, Usage: "mine", Client: client})
			var out, errs bytes.Buffer
			if code := run(t.Context(), a, []string{"--help"}, nil, strings.NewReader(""), &out, &errs); code != exitUsage || !strings.Contains(errs.String(), `the setting "`+name+`"`) {
				t.Errorf("the setting %s: exit code %d, %s", name, code, &errs)
			}
		}
	}
}
