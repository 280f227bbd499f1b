package cli

import (
	"cmp"
	"reflect"
	"strings"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/app"
	"github.com/pitwheel/pitwheel/infra/cli/internal/output"
	"github.com/pitwheel/pitwheel/infra/embedded"
	"github.com/pitwheel/pitwheel/infra/settings"
	"github.com/pitwheel/pitwheel/infra/telemetry"
	"github.com/pitwheel/pitwheel/router"
)

// tryNext returns what a newcomer may type while dev runs, made from the application's own
// commands and projections.
func (c *cli) tryNext(dev app.Dev) []string {
	var out []string
	if send := c.trySend(); send != "" {
		out = append(out, send)
	}
	out = append(out, "event tail")
	if projections := c.Projections(); len(projections) > 0 {
		out = append(out, "projection rows "+projections[0])
	}
	if len(dev.Failing) > 0 {
		out = append(out, "poison list", "poison retry --handler "+dev.Failing[0])
	}
	return out
}

// trySend returns the command line that sends the sample command. Without a sample it is a
// command that a handler decides, with a gap for each field that is required: the first
// one that creates an aggregate, since others need one, else the first one. It is "" if
// there is no such command.
func (c *cli) trySend() string {
	if first := c.Samples.First; first != nil {
		if fields, err := output.Fields(first); err == nil {
			text := "send " + first.CommandType()
			for _, f := range fields {
				text += " -f " + f.Name + "=" + shellWord(f.Value)
			}
			return text + " --wait"
		}
	}
	t := c.firstCommand()
	if t == nil {
		return ""
	}
	text := "send " + t.Name
	for _, f := range t.Fields() {
		if f.Required {
			text += " -f " + f.Name + "=…"
		}
	}
	return text + " --wait"
}

// firstCommand returns the first command in the order of the handlers that creates an aggregate, else
// the first one, or nil.
func (c *cli) firstCommand() *events.Type {
	var first *events.Type
	handlers, _ := c.Describe(c.settings) // An error has ended dev before.
	for _, h := range handlers {
		if h.Kind != router.KindCommand {
			continue
		}
		for _, name := range h.Consumes {
			t, _ := c.Catalogue.Lookup(name)
			if _, creates := reflect.Zero(t.Go).Interface().(events.Identifiable); creates {
				return t
			}
			first = cmp.Or(first, t)
		}
	}
	return first
}

// devFlags returns what a second terminal must add to reach this dev, whose in-process
// Redis has the given address: "" if a flag names another Redis. Passwords are not shown.
func (c *cli) devFlags(redis string) string {
	flags := ""
	switch {
	case redis == "":
		flags += " --redis-url " + shellWord(telemetry.RedactURL(c.settings.String("redis_url")))
	case c.settings.String("redis_url") != "":
		flags += " --redis-url redis://" + redis
	case redis != embedded.DefaultAddr:
		flags += " --dev-redis-addr " + redis
	}
	if url := c.fromFlag("amqp_url"); url != "" {
		// These are also the credentials of an address without any.
		flags += " --amqp-url " + shellWord(telemetry.RedactURL(strings.Replace(url, "//guest:guest@", "//", 1)))
	} else if c.settings.String("amqp_url") != "" {
		flags += " --amqp-url="
	}
	if namespace := c.settings.String("namespace"); namespace != "" {
		flags += " --namespace " + namespace
	}
	return flags
}

// fromFlag returns the value of a setting if a flag gives it, else "".
func (c *cli) fromFlag(name string) string {
	if c.settings.Origin(name).Source != settings.SourceFlag {
		return ""
	}
	return c.settings.String(name)
}
