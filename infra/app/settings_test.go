package app_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/app"
	"github.com/pitwheel/pitwheel/infra/mail"
	"github.com/pitwheel/pitwheel/infra/settings"
	"github.com/pitwheel/pitwheel/router"
	"github.com/pitwheel/pitwheel/router/routertest/sample"
)

// sampleApplication runs the sample domain. Its handler send-welcome sends mail.
func sampleApplication(name string) app.Application {
	return app.Application{
		Name:    name,
		Domains: []events.Domain{sample.Register},
		Handlers: func(s app.Services) []router.Handler {
			sender := mail.FromServices(s)
			return sample.Handlers(func(ctx context.Context, e router.Event[sample.Created]) error {
				return sender.Send(ctx, e.ID, e.Data.Email, "Welcome, "+e.Data.Name, "Hello.\n")
			})
		},
		Settings: mail.Settings(),
		Dev:      []app.DevService{mail.DevService()},
	}
}

// load loads the settings of an application named pitwheel.
func load(file string, flags map[string]string, environ []string) (settings.Values, error) {
	d, err := app.Define(sampleApplication("pitwheel"))
	if err != nil {
		return settings.Values{}, err
	}
	return d.Settings.Load(settings.Source{File: file, Flags: flags, Environ: environ})
}

// written returns the path of a new file with the given text.
func written(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "pitwheel.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestSettings_Precedence(t *testing.T) {
	t.Parallel()
	secret := written(t, "redis://:s3cret@db:6379\n")
	for name, c := range map[string]struct {
		file  string
		env   []string
		flags map[string]string
		got   func(settings.Values) any
		want  any
	}{
		"default":                {got: func(v settings.Values) any { return v.String("http_addr") }, want: "127.0.0.1:8080"},
		"file over default":      {file: "http_addr: :81", got: func(v settings.Values) any { return v.String("http_addr") }, want: ":81"},
		"environment over file":  {file: "http_addr: :81", env: []string{"PITWHEEL_HTTP_ADDR=:82"}, got: func(v settings.Values) any { return v.String("http_addr") }, want: ":82"},
		"flag over environment":  {env: []string{"PITWHEEL_HTTP_ADDR=:82"}, flags: map[string]string{"http_addr": ":83"}, got: func(v settings.Values) any { return v.String("http_addr") }, want: ":83"},
		"empty variable is none": {file: "http_addr: :81", env: []string{"PITWHEEL_HTTP_ADDR="}, got: func(v settings.Values) any { return v.String("http_addr") }, want: ":81"},
		"empty flag empties":     {env: []string{"PITWHEEL_AMQP_URL=amqp://mq"}, flags: map[string]string{"amqp_url": ""}, got: func(v settings.Values) any { return v.String("amqp_url") }, want: ""},
		"no URL: the local dev":  {env: []string{"PITWHEEL_DEV_REDIS_ADDR=127.0.0.1:7"}, got: func(v settings.Values) any { return app.RedisURL(v) }, want: "redis://127.0.0.1:7"},
		"_FILE of a variable":    {env: []string{"PITWHEEL_REDIS_URL_FILE=" + secret}, got: func(v settings.Values) any { return app.RedisURL(v) }, want: "redis://:s3cret@db:6379"},
		"_file in the file":      {file: "redis_url_file: " + secret, got: func(v settings.Values) any { return app.RedisURL(v) }, want: "redis://:s3cret@db:6379"},
		"a number in the file":   {file: "partitions: 64", got: func(v settings.Values) any { return v.Int("partitions") }, want: 64},
		"bytes":                  {env: []string{"PITWHEEL_MAX_MESSAGE_BYTES=2048"}, got: func(v settings.Values) any { return v.Int("max_message_bytes") }, want: 2048},
		"bytes by default":       {got: func(v settings.Values) any { return v.Int("max_message_bytes") }, want: 1 << 20},
		"a duration":             {file: "drain_timeout: 1m", got: func(v settings.Values) any { return v.Duration("drain_timeout") }, want: time.Minute},
		"several hosts":          {env: []string{"PITWHEEL_REDIS_URL=rediss://u:p%40@a:1,b:2,c"}, got: func(v settings.Values) any { return v.String("redis_url") }, want: "rediss://u:p%40@a:1,b:2,c"},
		"variables of tests":     {env: []string{"PITWHEEL_TEST_AMQP_URL=x", "OTHER=1"}, got: func(v settings.Values) any { return v.String("amqp_url") }, want: ""},
		"what was given":         {env: []string{"PITWHEEL_LOG_LEVEL=info"}, got: func(v settings.Values) any { return []bool{v.Given("log_level"), v.Given("http_addr")} }, want: []bool{true, false}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, err := load(written(t, c.file), c.flags, c.env)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, c.got(s)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestSettings_Faults(t *testing.T) {
	t.Parallel()
	unfilled := written(t, "\n")
	for name, c := range map[string]struct {
		file string
		env  []string
		want []string // all of it is in the message
	}{
		"unknown in the file":        {file: "redis_ul: x", want: []string{`"redis_ul"`, `nearest is "redis_url"`}},
		"unknown in the environment": {env: []string{"PITWHEEL_HTP_ADDR=x"}, want: []string{"PITWHEEL_HTP_ADDR", "nearest is PITWHEEL_HTTP_ADDR"}},
		"unknown handler":            {file: "handlers: {send-welcom: {}}", want: []string{"handlers.send-welcom", `nearest is "send-welcome"`}},
		"unknown handler setting":    {file: "handlers: {send-welcome: {concurency: 3}}", want: []string{"handlers.send-welcome.concurency", `nearest is "concurrency"`}},
		"not a number":               {file: "handlers: {send-welcome: {attempts: many}}", want: []string{"handlers.send-welcome.attempts", `"many"`, "whole number"}},
		"not a duration":             {file: "handlers: {send-welcome: {timeout: 10}}", want: []string{"handlers.send-welcome.timeout", `"10"`, "10s"}},
		"not a boolean":              {file: "handlers: {send-welcome: {paused: maybe}}", want: []string{"handlers.send-welcome.paused", "true or false"}},
		"handlers is not a map":      {file: "handlers: [a]", want: []string{"handlers must hold"}},
		"a handler is not a map":     {file: "handlers: {send-welcome: 3}", want: []string{"handlers.send-welcome must hold"}},
		"a list for a value":         {file: "http_addr: [a]", want: []string{"http_addr", "single value"}},
		"twice":                      {env: []string{"PITWHEEL_AMQP_URL=amqp://a", "PITWHEEL_AMQP_URL_FILE=/x"}, want: []string{"PITWHEEL_AMQP_URL", "twice"}},
		"no such secret":             {env: []string{"PITWHEEL_AMQP_URL_FILE=/does/not/exist"}, want: []string{"PITWHEEL_AMQP_URL", "/does/not/exist"}},
		"unfilled secret":            {env: []string{"PITWHEEL_AMQP_URL_FILE=" + unfilled}, want: []string{"PITWHEEL_AMQP_URL", unfilled, "is empty"}},
		"unfilled, in the file":      {file: "smtp_url_file: " + unfilled, want: []string{"smtp_url", unfilled, "is empty"}},
		"all at once":                {file: "partitions: 0\nqueue_type: big", want: []string{"partitions", "1 to 1024", "queue_type", "quorum or classic"}},
		"address":                    {env: []string{"PITWHEEL_HTTP_ADDR=8080"}, want: []string{"PITWHEEL_HTTP_ADDR", "host:port"}},
		"port":                       {env: []string{"PITWHEEL_HTTP_ADDR=:99999"}, want: []string{"PITWHEEL_HTTP_ADDR", "0 to 65535"}},
		"namespace":                  {env: []string{"PITWHEEL_NAMESPACE=a.b"}, want: []string{"PITWHEEL_NAMESPACE", `"a.b"`}},
		"sender":                     {env: []string{"PITWHEEL_MAIL_FROM=nobody"}, want: []string{"PITWHEEL_MAIL_FROM", `"nobody"`}},
		"drain":                      {env: []string{"PITWHEEL_DRAIN_TIMEOUT=1h"}, want: []string{"PITWHEEL_DRAIN_TIMEOUT", "10m"}},
		"too few bytes":              {env: []string{"PITWHEEL_MAX_MESSAGE_BYTES=1000"}, want: []string{"PITWHEEL_MAX_MESSAGE_BYTES", `"1000"`, "1024"}},
		"too many bytes":             {file: "max_message_bytes: 134217729", want: []string{"max_message_bytes", "134217728"}},
		"not bytes":                  {file: "max_message_bytes: 1MiB", want: []string{"max_message_bytes", `"1MiB"`, "number of bytes"}},
		"not YAML":                   {file: "a: [", want: []string{"cannot be read"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := load(written(t, c.file), nil, c.env)
			if events.CodeOf(err) != events.CodeConfig {
				t.Fatalf("got the error %v, want one with the code CONFIG", err)
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q is not in the message:\n%v", want, err)
				}
			}
		})
	}
}

func TestSettings_ErrorsHoldNoSecret(t *testing.T) {
	t.Parallel()
	for _, key := range []string{"AMQP_URL", "REDIS_URL", "SMTP_URL"} {
		for _, value := range []string{"http://u:s3cret@h", "s3cret", "amqp://u:s3cret%@h", "redis://u:s3cret@", "smtp://u:s3cret@h:99999", "redis://u:s3cret#@h", "smtp://u:s3cret@a,b", "amqp://u:s3cret\x7f@h"} {
			_, err := load(written(t, ""), nil, []string{"PITWHEEL_" + key + "=" + value})
			if err == nil {
				t.Errorf("%s=%s is accepted", key, value)
				continue
			}
			if strings.Contains(err.Error(), "s3cret") || !strings.Contains(err.Error(), "PITWHEEL_"+key) {
				t.Errorf("%s=%s gives the error %q", key, value, err)
			}
		}
	}
	_, err := load(written(t, "redis_url: redis://:s3cret@h\n  bad: - `s3cret`"), nil, nil)
	if err == nil || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("a broken file gives the error %v", err)
	}
}

func TestSettings_File(t *testing.T) {
	t.Parallel()
	path := written(t, "namespace: fromfile")
	s, err := load("", nil, []string{"PITWHEEL_CONFIG=" + path})
	if err != nil || s.String("namespace") != "fromfile" {
		t.Errorf("PITWHEEL_CONFIG: namespace %q, error %v", s.String("namespace"), err)
	}
	for _, env := range [][]string{nil, {"PITWHEEL_CONFIG=" + path}} {
		if _, err := load(path+".missing", nil, env); events.CodeOf(err) != events.CodeConfig || !strings.Contains(err.Error(), ".missing") {
			t.Errorf("a missing --config gives the error %v", err)
		}
	}
	if _, err := load("", nil, nil); err != nil {
		t.Errorf("without any file: %v", err)
	}
}

func TestSettings_Overrides(t *testing.T) {
	t.Parallel()
	s, err := load(written(t, `
handlers:
  send-welcome: {concurrency: 8, attempts: 3, timeout: 10s, backoff: 1s, max_backoff: 1m, paused: true}
  create-user:
`), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	eight, three, paused := 8, 3, true
	timeout, backoff, maxBackoff := 10*time.Second, time.Second, time.Minute
	want := map[string]router.Overrides{
		"create-user":  {},
		"send-welcome": {Concurrency: &eight, Attempts: &three, Timeout: &timeout, Backoff: &backoff, MaxBackoff: &maxBackoff, Paused: &paused},
	}
	if diff := cmp.Diff(want, s.Handlers); diff != "" {
		t.Error(diff)
	}
}

// TestSettings_Kubernetes starts in a container of a cluster that has a service of the
// application's name, and another one whose name begins like it.
func TestSettings_Kubernetes(t *testing.T) {
	t.Parallel()
	injected := []string{
		"PITWHEEL_SERVICE_HOST=10.0.0.1", "PITWHEEL_SERVICE_PORT=8080", "PITWHEEL_SERVICE_PORT_HTTP=8080",
		"PITWHEEL_PORT=tcp://10.0.0.1:8080", "PITWHEEL_PORT_8080_TCP=tcp://10.0.0.1:8080", "PITWHEEL_PORT_8080_TCP_ADDR=10.0.0.1",
		"PITWHEEL_WEB_SERVICE_HOST=10.0.0.2", "PITWHEEL_WEB_SERVICE_PORT=80", "PITWHEEL_WEB_PORT=tcp://10.0.0.2:80", "PITWHEEL_WEB_PORT_80_TCP_PROTO=tcp",
	}
	v, err := load(written(t, ""), nil, append(injected, "PITWHEEL_HTTP_ADDR=:82"))
	if err != nil {
		t.Fatal(err)
	}
	if got := v.String("http_addr"); got != ":82" {
		t.Errorf("http_addr is %q", got)
	}
	// What only looks like that is a mistake.
	for _, name := range []string{"PITWHEEL_HTTP_PORT=80", "PITWHEEL_PORTS=80", "PITWHEEL_SERVICE=x"} {
		if _, err := load(written(t, ""), nil, []string{name}); events.CodeOf(err) != events.CodeConfig {
			t.Errorf("%s gives the error %v", name, err)
		}
	}
}

// TestSettings_Prefix has an application of another name read its own variables.
func TestSettings_Prefix(t *testing.T) {
	t.Parallel()
	a := sampleApplication("web-shop")
	a.Settings = append(a.Settings, settings.Setting{Name: "price_list", Default: "prices.csv", Usage: "the prices"})
	d, err := app.Define(a)
	if err != nil {
		t.Fatal(err)
	}
	if got := d.Settings.File(); got != "web-shop.yaml" {
		t.Errorf("the file is %s", got)
	}
	v, err := d.Settings.Load(settings.Source{Environ: []string{"WEB_SHOP_PRICE_LIST=new.csv", "WEB_SHOP_NAMESPACE=test", "PITWHEEL_NAMESPACE=other", "PITWHEEL_NOPE=1"}})
	if err != nil {
		t.Fatal(err)
	}
	if p, n := v.String("price_list"), v.String("namespace"); p != "new.csv" || n != "test" {
		t.Errorf("price_list is %q, namespace %q", p, n)
	}
	for environ, want := range map[string]string{
		"WEB_SHOP_PRICE_LISTS=x":  "the nearest is WEB_SHOP_PRICE_LIST",
		"WEB_SHOP_REDIS_URL=http": "the environment variable WEB_SHOP_REDIS_URL must start with redis://",
	} {
		if _, err := d.Settings.Load(settings.Source{Environ: []string{environ}}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s gives the error %v", environ, err)
		}
	}
}
