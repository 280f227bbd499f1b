package cli

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/app"
	"github.com/pitwheel/pitwheel/infra/settings"
	"github.com/pitwheel/pitwheel/router"
)

// rewrite replaces the text of a settings file in one step, so that no reader sees half of
// it.
func rewrite(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// TestConfigPrint has settings of every source, and those of handlers that are not
// defaults.
func TestConfigPrint(t *testing.T) {
	t.Parallel()
	file := written(t, "drain_timeout: 1m\nhandlers:\n  send-welcome: {attempts: 7, paused: true}\n  user-directory: {paused: false}\n")
	environ := []string{"PITWHEEL_AMQP_URL=amqp://shop:s3cret@broker:5672/prod", "PITWHEEL_CONFIG=" + file}
	r := pitwheel(t, environ, "config", "print", "--http-addr", ":9090", "--redis-url", "rediss://:s3cret@cache", "-o", "json").ok(t)
	var got []settings.Effective
	if err := json.Unmarshal([]byte(r.stdout), &got); err != nil {
		t.Fatal(err)
	}
	byName := map[string]settings.Effective{}
	for _, s := range got {
		byName[s.Name] = s
	}
	inFile := settings.Origin{Source: "file", Location: file}
	for _, want := range []settings.Effective{
		{Name: "http_addr", Value: ":9090", Origin: settings.Origin{Source: "flag", Location: "--http-addr"}},
		{Name: "redis_url", Value: "rediss://:xxxxx@cache", Origin: settings.Origin{Source: "flag", Location: "--redis-url"}},
		{Name: "amqp_url", Value: "amqp://shop:xxxxx@broker:5672/prod", Origin: settings.Origin{Source: "environment", Location: "PITWHEEL_AMQP_URL"}},
		{Name: "drain_timeout", Value: "1m", Origin: inFile},
		{Name: "queue_type", Value: "quorum", Origin: settings.Origin{Source: "default"}},
		{Name: "handlers.send-welcome.attempts", Value: "7", Origin: inFile},
		{Name: "handlers.send-welcome.paused", Value: "true", Origin: inFile},
		{Name: "handlers.send-welcome.queue", Value: "notification-service", Origin: settings.Origin{Source: "declaration"}},
		{Name: "handlers.user-directory.paused", Value: "false", Origin: inFile},
	} {
		if diff := cmp.Diff(want, byName[want.Name]); diff != "" {
			t.Errorf("%s: %s", want.Name, diff)
		}
	}
	if _, is := byName["handlers.create-user.attempts"]; is {
		t.Error("a default of a handler is printed")
	}
	r = pitwheel(t, environ, "config", "print").ok(t)
	has(t, r.stdout, "NAME ", "environment PITWHEEL_AMQP_URL\n", "file "+file+"\n")
	for _, format := range []string{"table", "jsonl", "yaml"} {
		if out := pitwheel(t, environ, "config", "print", "-o", format).ok(t).stdout; out == "" || strings.Contains(out, "s3cret") {
			t.Errorf("-o %s prints %s", format, out)
		}
	}
}

// TestConfigValidate finds all that would stop serve before it connects.
func TestConfigValidate(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, file string
		environ    []string
		code       int
		stderr     string
	}{
		{"nothing", "", nil, exitOK, ""},
		{"brokers that are not there", "redis_url: redis://127.0.0.1:1\nhandlers: {send-welcome: {attempts: 7}}", []string{"PITWHEEL_AMQP_URL=amqp://127.0.0.1:1"}, exitOK, ""},
		{"a wrong value", "queue_type: lazy", nil, exitUsage, `queue_type is "lazy"`},
		{"an unknown setting", "que_type: classic", nil, exitUsage, `the nearest is "queue_type"`},
		{"a variable that is nothing like a setting", "", []string{"PITWHEEL_COLOUR_SCHEME=dark"}, exitUsage, "PITWHEEL_COLOUR_SCHEME, which is not a setting; `pitwheel serve --help` lists the settings"},
		{"a handler out of bounds", "handlers: {send-welcome: {attempts: 0}}", nil, exitUsage, `handler "send-welcome": attempts is 0`},
		{"an unknown handler", "handlers: {billing: {attempts: 1}}", nil, exitUsage, "no handler has that name; there are create-user, "},
		{"a setting that a projection does not have", "handlers: {user-directory: {attempts: 2}}", nil, exitUsage, "only paused can be set"},
		{"what the application refuses", "smtp_url: smtp://127.0.0.1:1\nmail_from: nobody", nil, exitUsage, "mail_from"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			args := []string{"config", "validate", "--config", written(t, tt.file)}
			r := pitwheel(t, tt.environ, args...).exits(t, tt.code)
			if want := map[bool]string{true: "valid\n"}[tt.code == exitOK]; r.stdout != want {
				t.Errorf("stdout has %q, not %q", r.stdout, want)
			}
			has(t, r.stderr, tt.stderr)
			r = pitwheel(t, tt.environ, append(args, "-o", "json")...).exits(t, tt.code)
			if tt.code == exitOK && r.stdout != `{"status":"valid"}`+"\n" || tt.code != exitOK && !strings.Contains(r.stderr, `{"error":{"code":"CONFIG",`) {
				t.Errorf("-o json prints %q and %q", r.stdout, r.stderr)
			}
		})
	}
	pitwheel(t, nil, "config", "validate", "--drain-timeout", "1h").exits(t, exitUsage)
}

// An application may refuse settings by itself, when it is asked for its handlers.
func TestConfigValidate_Application(t *testing.T) {
	t.Parallel()
	a := shop()
	handlers := a.Handlers
	a.Handlers = func(s app.Services) []router.Handler {
		if s.Settings.String("price_list") == "none.csv" {
			s.Fail(events.Errorf(events.CodeConfig, "the prices are missing").WithField("price_list"))
		}
		return handlers(s)
	}
	for list, want := range map[string]result{
		"prices.csv": {exitOK, "valid\n", ""},
		"none.csv":   {exitUsage, "", "shop: SHOP_PRICE_LIST: the prices are missing\n"},
	} {
		var out, errs bytes.Buffer
		code := run(t.Context(), a, []string{"config", "validate", "--price-list", list}, nil, strings.NewReader(""), &out, &errs)
		if got := (result{code, out.String(), errs.String()}); got != want {
			t.Errorf("%s: %+v", list, got)
		}
	}
}
