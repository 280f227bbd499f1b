package cli

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/app"
	"github.com/pitwheel/pitwheel/infra/cli/internal/input"
	"github.com/pitwheel/pitwheel/infra/programtest"
	"github.com/pitwheel/pitwheel/infra/settings"
	"github.com/pitwheel/pitwheel/router"
	"github.com/pitwheel/pitwheel/router/routertest/sample"
)

// shop is an application of another name than the others in these tests.
func shop() app.Application {
	return app.Application{
		Name: "shop", Short: "A shop",
		Domains:  []events.Domain{sample.Register},
		Handlers: func(app.Services) []router.Handler { return sample.Handlers(nil) },
		Settings: []settings.Setting{{Name: "price_list", Default: "prices.csv", Usage: "file with the prices"}},
	}
}

// TestApplication_Name has help and errors name the application, its settings and
// its commands.
func TestApplication_Name(t *testing.T) {
	t.Parallel()
	call := func(environ []string, args ...string) result {
		var out, errs bytes.Buffer
		code := run(t.Context(), shop(), args, environ, strings.NewReader(""), &out, &errs)
		return result{code, out.String(), errs.String()}
	}
	for _, tt := range []struct {
		environ []string
		args    string
		code    int
		want    []string
	}{
		{nil, "", exitOK, []string{"A shop", "shop dev", "shop [command]"}},
		{nil, "serve --help", exitOK, []string{"SHOP_REDIS_URL", "SHOP_AMQP_URL", "--price-list string", "file with the prices", `"prices.csv"`}},
		{nil, "send CREATE_USER --help", exitOK, []string{"Fields of CREATE_USER"}},
		{nil, "hander", exitUsage, []string{"shop: `shop` has no command", `nearest is "handler"`}},
		{[]string{"SHOP_PRICE_LISTS=x"}, "handler list", exitUsage, []string{"nearest is SHOP_PRICE_LIST"}},
		{[]string{"PITWHEEL_NOPE=x", "SHOP_SERVICE_HOST=10.0.0.1", "SHOP_PORT=tcp://10.0.0.1:1"}, "handler list", exitOK, []string{"send-welcome"}},
		{[]string{"SHOP_DEV_REDIS_ADDR=127.0.0.1:1"}, "event tail", exitUnreachable, []string{"a local `shop dev` would be", "SHOP_REDIS_URL"}},
		{[]string{"SHOP_REDIS_URL=redis://127.0.0.1:1"}, "event tail", exitUnreachable, []string{"SHOP_REDIS_URL names it"}},
		{[]string{"SHOP_HTTP_ADDR=256.0.0.1:1"}, "serve", exitUsage, []string{"SHOP_HTTP_ADDR: "}},
		{[]string{"SHOP_DEV_REDIS_ADDR=256.0.0.1:1"}, "dev", exitUsage, []string{"SHOP_DEV_REDIS_ADDR: "}},
	} {
		r := call(tt.environ, strings.Fields(tt.args)...)
		if r.code != tt.code {
			t.Errorf("shop %s: exit code %d, not %d: %s", tt.args, r.code, tt.code, r.stderr)
		}
		for _, want := range tt.want {
			if !strings.Contains(r.stdout+r.stderr, want) {
				t.Errorf("shop %s: %q is not in:\n%s%s", tt.args, want, r.stdout, r.stderr)
			}
		}
		if strings.Contains(strings.ToLower(r.stdout+r.stderr), "pitwheel") {
			t.Errorf("shop %s names another program:\n%s%s", tt.args, r.stdout, r.stderr)
		}
	}
	if r := call(nil, "dev", "--rate", "5/s"); r.code != exitUsage || !strings.Contains(r.stderr, "unknown flag: --rate") {
		t.Errorf("without samples, dev has a rate: exit code %d, %s", r.code, r.stderr)
	}
}

// TestApplication_Help looks at the help of every command and flag.
func TestApplication_Help(t *testing.T) {
	t.Parallel()
	d, err := app.Define(shop())
	if err != nil {
		t.Fatal(err)
	}
	c := &cli{Definition: d}
	var walk func(*cobra.Command)
	walk = func(cmd *cobra.Command) {
		texts := []string{cmd.Use, cmd.Short, cmd.Long, cmd.Example}
		cmd.Flags().VisitAll(func(f *pflag.Flag) { texts = append(texts, f.Usage) })
		cmd.PersistentFlags().VisitAll(func(f *pflag.Flag) { texts = append(texts, f.Usage) })
		if text := strings.Join(texts, "\n"); strings.Contains(strings.ToLower(text), "pitwheel") {
			t.Errorf("%s names another program:\n%s", cmd.CommandPath(), text)
		}
		for _, sub := range cmd.Commands() {
			walk(sub)
		}
	}
	root, err := c.root()
	if err != nil {
		t.Fatal(err)
	}
	walk(root)
}

// TestApplication_Extensions adds a command, a route and middleware.
func TestApplication_Extensions(t *testing.T) {
	t.Parallel()
	var passed atomic.Int64
	a := testApplication()
	a.Middleware = []message.HandlerMiddleware{func(next message.HandlerFunc) message.HandlerFunc {
		return func(m *message.Message) ([]*message.Message, error) { passed.Add(1); return next(m) }
	}}
	a.Routes = func(s app.Services) map[string]http.Handler {
		return map[string]http.Handler{"GET /from": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = fmt.Fprint(w, s.Settings.String("mail_from"))
		})}
	}
	a.Commands = func(line app.CommandLine) []*cobra.Command {
		return []*cobra.Command{{Use: "invite", Args: input.None, RunE: func(cmd *cobra.Command, _ []string) error {
			s, closeAll, err := line.Connect(cmd.Context())
			if err != nil {
				return err
			}
			defer func() { _ = closeAll() }()
			o, err := s.Commands.Execute(cmd.Context(), sample.Create{Email: "b@example.com", Name: line.Settings().String("namespace") + "Bob"}, events.SendOptions{})
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), o.Status, o.Version)
			return err
		}}}
	}
	dev := startAppDev(t, a, "--sample=false")
	if code, body := dev.get(t, "/from"); code != http.StatusOK || !strings.Contains(body, "@localhost") {
		t.Errorf("/from says %d %s", code, body)
	}
	var out, errs bytes.Buffer
	ctx, cancel := context.WithTimeout(t.Context(), programtest.Patience)
	defer cancel()
	if code := run(ctx, a, []string{"invite"}, dev.environ, strings.NewReader(""), &out, &errs); code != exitOK || out.String() != "accepted 1\n" {
		t.Errorf("exit code %d: %s%s", code, &out, &errs)
	}
	out.Reset()
	if code := run(ctx, a, []string{"invite"}, []string{"PITWHEEL_DEV_REDIS_ADDR=127.0.0.1:1"}, strings.NewReader(""), &out, &errs); code != exitUnreachable || !strings.Contains(errs.String(), "nobody answers at 127.0.0.1:1") {
		t.Errorf("exit code %d: %s%s", code, &out, &errs)
	}
	programtest.Eventually(t, "the middleware", func() bool { return passed.Load() > 0 })
}

// TestApplication_CommandNames rejects own commands that would never run.
func TestApplication_CommandNames(t *testing.T) {
	t.Parallel()
	run0 := func(*cobra.Command, []string) error { return nil }
	for _, tt := range []struct {
		name string
		own  []*cobra.Command
		want string // "": they are accepted
	}{
		{"of its own", []*cobra.Command{{Use: "invite NAME", RunE: run0}, {Use: "import", Aliases: []string{"load"}, RunE: run0}}, ""},
		{"one of ours", []*cobra.Command{{Use: "invite", RunE: run0}, {Use: "send FILE", RunE: run0}}, `a command "send" already`},
		{"one of cobra's", []*cobra.Command{{Use: "help", RunE: run0}}, `a command "help" already`},
		{"completion", []*cobra.Command{{Use: "completion", RunE: run0}}, `a command "completion" already`},
		{"an alias", []*cobra.Command{{Use: "invite", Aliases: []string{"poison"}, RunE: run0}}, `a command "poison" already`},
		{"twice", []*cobra.Command{{Use: "invite", RunE: run0}, {Use: "invite", RunE: run0}}, `a command "invite" already`},
		{"nil", []*cobra.Command{{Use: "invite", RunE: run0}, nil}, "command 2 of 2 is nil"},
		{"no name", []*cobra.Command{{RunE: run0}}, "command 1 of 1 has no name"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			a := shop()
			a.Commands = func(app.CommandLine) []*cobra.Command { return tt.own }
			var out, errs bytes.Buffer
			code := run(t.Context(), a, []string{"version", "-o", "json"}, nil, strings.NewReader(""), &out, &errs)
			switch {
			case tt.want == "":
				if code != exitOK {
					t.Errorf("exit code %d: %s", code, &errs)
				}
			case code != exitUsage || !strings.Contains(errs.String(), `"CONFIG"`) || !strings.Contains(strings.ReplaceAll(errs.String(), `\"`, `"`), tt.want):
				t.Errorf("exit code %d: %s", code, &errs)
			}
		})
	}
}
