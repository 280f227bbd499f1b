package settings_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/settings"
)

func Example() {
	set, err := settings.NewSet("shop", nil,
		settings.Setting{Name: "price_list", Default: "prices.csv", Usage: "file with the prices"},
		settings.Setting{Name: "currency", Default: "EUR", Usage: "EUR or USD", Check: settings.OneOf("EUR", "USD")},
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	values, err := set.Load(settings.Source{Environ: []string{"SHOP_CURRENCY=USD"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(values.String("price_list"), values.String("currency"))

	_, err = set.Load(settings.Source{Environ: []string{"SHOP_CURENCY=USD"}})
	fmt.Println(err)
	// Output:
	// prices.csv USD
	// the environment has SHOP_CURENCY, which is not a setting; the nearest is SHOP_CURRENCY
}

// TestSet_Explain has an error of a component name the setting behind its field.
func TestSet_Explain(t *testing.T) {
	t.Parallel()
	set, err := settings.NewSet("shop", nil, settings.Setting{Name: "redis_url", Usage: "Redis"}, settings.Setting{Name: "namespace", Usage: "prefix"})
	if err != nil {
		t.Fatal(err)
	}
	fields := map[string]string{"URL": "redis_url"}
	for name, tt := range map[string]struct {
		err            error
		field, message string
	}{
		"a field of a Config":   {events.Errorf(events.CodeConfig, "there is no host").WithField("URL"), "redis_url", "SHOP_REDIS_URL: there is no host"},
		"wrapped":               {fmt.Errorf("opening: %w", events.Errorf(events.CodeConfig, "no host").WithField("URL")), "redis_url", "SHOP_REDIS_URL: opening: no host"},
		"named already":         {events.Errorf(events.CodeConfig, "SHOP_REDIS_URL is wrong").WithField("URL"), "redis_url", "SHOP_REDIS_URL is wrong"},
		"a setting by its name": {events.Errorf(events.CodeConfig, "too long").WithField("namespace"), "namespace", "SHOP_NAMESPACE: too long"},
		"another field":         {events.Errorf(events.CodeConfig, "negative").WithField("Heartbeat"), "Heartbeat", "negative"},
		"no field":              {events.Errorf(events.CodeConfig, "wrong"), "", "wrong"},
		"another code":          {events.Errorf(events.CodeTimeout, "late").WithField("URL"), "URL", "late"},
	} {
		var e *events.Error
		if got := set.Explain(tt.err, fields); !errors.As(got, &e) || e.Field != tt.field || got.Error() != tt.message {
			t.Errorf("%s: got %q with the field %q", name, got, e.Field)
		}
	}
	if got := set.Explain(nil, fields); got != nil {
		t.Errorf("no error becomes %v", got)
	}
}

func TestValues(t *testing.T) {
	t.Parallel()
	v := settings.ValuesOf(map[string]string{"n": "3", "d": "2s", "b": "true", "empty": "", "password": "s3cret"})
	if v.Int("n") != 3 || v.Duration("d") != 2*time.Second || !v.Bool("b") || v.Int("empty") != 0 || v.Bool("empty") {
		t.Error("other values than given")
	}
	w := v.With(map[string]string{"n": "4"})
	if v.Int("n") != 3 || w.Int("n") != 4 {
		t.Errorf("With changed %d to %d", v.Int("n"), w.Int("n"))
	}
	if text := fmt.Sprintf("%v %+v %#v %s", v, v, v, v); strings.Contains(text, "s3cret") {
		t.Errorf("printed as %s", text)
	}
	defer func() {
		if e, ok := recover().(*events.Error); !ok || e.Code != events.CodeConfig || !strings.Contains(e.Message, `nearest is "password"`) {
			t.Errorf("an undeclared name panics with %v", e)
		}
	}()
	v.String("passwort")
}

// TestValues_Zero says what values without settings lack.
func TestValues_Zero(t *testing.T) {
	t.Parallel()
	defer func() {
		if e, ok := recover().(*events.Error); !ok || e.Code != events.CodeConfig || !strings.Contains(e.Message, `"max_minutes"`) || !strings.Contains(e.Message, "Set.Load") || !strings.Contains(e.Message, "settings.ValuesOf") {
			t.Errorf("it panics with %v", e)
		}
	}()
	settings.Values{}.String("max_minutes")
}

func TestNewSet_NoUsage(t *testing.T) {
	t.Parallel()
	if _, err := settings.NewSet("shop", nil, settings.Setting{Name: "currency"}); events.CodeOf(err) != events.CodeConfig || !strings.Contains(err.Error(), `"currency" has no Usage`) {
		t.Errorf("got %v", err)
	}
}

// TestSet_Load_Sources has every fault name the source of the value.
func TestSet_Load_Sources(t *testing.T) {
	t.Parallel()
	set, err := settings.NewSet("meter", []string{"fine"}, settings.Setting{Name: "max_minutes", Usage: "how long", Check: settings.IntBetween(1, 9, "")})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	secret, empty := write("secret", "many\n"), write("empty", "\n")
	for name, tt := range map[string]struct {
		file  string
		env   []string
		flags map[string]string
		want  []string // all of these are in the error
		not   string   // this is not
	}{
		"flag":                    {flags: map[string]string{"max_minutes": "0"}, env: []string{"METER_MAX_MINUTES=5"}, want: []string{`the flag --max-minutes is "0"`}, not: "METER"},
		"environment":             {env: []string{"METER_MAX_MINUTES=0"}, file: "max_minutes: 5", want: []string{`the environment variable METER_MAX_MINUTES is "0"`}, not: ".yaml"},
		"file":                    {file: "max_minutes: 0", want: []string{`meter.yaml: max_minutes is "0"`}, not: "METER"},
		"_FILE":                   {env: []string{"METER_MAX_MINUTES_FILE=" + secret}, want: []string{"the environment variable METER_MAX_MINUTES_FILE (the file " + secret + ")"}},
		"_file":                   {file: "max_minutes_file: " + secret, want: []string{"meter.yaml: max_minutes_file (the file " + secret + ")"}},
		"_FILE that is not there": {env: []string{"METER_MAX_MINUTES_FILE=/nope"}, want: []string{"METER_MAX_MINUTES_FILE names a file", "/nope"}},
		"_FILE that is empty":     {env: []string{"METER_MAX_MINUTES_FILE=" + empty}, want: []string{"METER_MAX_MINUTES_FILE names the file " + empty, "is empty"}},
		"both":                    {env: []string{"METER_MAX_MINUTES=5", "METER_MAX_MINUTES_FILE=" + secret}, want: []string{"METER_MAX_MINUTES is given twice", "METER_MAX_MINUTES_FILE"}},
		"a misspelt _FILE":        {env: []string{"METER_MAX_MINUTS_FILE=x"}, want: []string{"the nearest is METER_MAX_MINUTES_FILE"}},
		"a misspelt _file":        {file: "max_minuts_file: x", want: []string{`the nearest is "max_minutes_file"`}},
		"_FILE of config":         {env: []string{"METER_CONFIG_FILE=x"}, want: []string{"the nearest is METER_CONFIG"}},
		"a handler":               {file: "handlers: {fine: {attempts: many}}", want: []string{`meter.yaml: handlers.fine.attempts is "many"`}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "meter.yaml")
			if err := os.WriteFile(path, []byte(tt.file), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := set.Load(settings.Source{File: path, Environ: tt.env, Flags: tt.flags})
			if events.CodeOf(err) != events.CodeConfig {
				t.Fatalf("got %v", err)
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q is not in: %v", want, err)
				}
			}
			if tt.not != "" && strings.Contains(err.Error(), tt.not) {
				t.Errorf("%q is in: %v", tt.not, err)
			}
		})
	}
}

// FuzzLoad has no file and no environment bring the loader down or show a secret.
func FuzzLoad(f *testing.F) {
	f.Add("redis_url: redis://:s3cret@h\n", "SHOP_REDIS_URL=x")
	f.Add("handlers: {a: {concurrency: 1}}", "SHOP_PORT=tcp://h:1")
	f.Add("? [a]: b", "SHOP_")
	set, err := settings.NewSet("shop", []string{"a"}, settings.Setting{Name: "redis_url", Usage: "Redis", Check: settings.URL("redis")})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, file, variable string) {
		path := filepath.Join(t.TempDir(), "shop.yaml")
		if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := set.Load(settings.Source{File: path, Environ: []string{variable}}); err != nil && events.CodeOf(err) != events.CodeConfig {
			t.Errorf("got %v", err)
		}
	})
}
