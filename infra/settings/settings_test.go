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
	set, err := settings.NewSet("shop", nil, settings.Setting{Name: "redis_url"}, settings.Setting{Name: "namespace"})
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

// FuzzLoad has no file and no environment bring the loader down or show a secret.
func FuzzLoad(f *testing.F) {
	f.Add("redis_url: redis://:s3cret@h\n", "SHOP_REDIS_URL=x")
	f.Add("handlers: {a: {concurrency: 1}}", "SHOP_PORT=tcp://h:1")
	f.Add("? [a]: b", "SHOP_")
	set, err := settings.NewSet("shop", []string{"a"}, settings.Setting{Name: "redis_url", Check: settings.URL("redis")})
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
