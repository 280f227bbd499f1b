package cli

import (
	"github.com/pitwheel/pitwheel/infra/cli/internal/output"
	"github.com/pitwheel/pitwheel/infra/embedded"
)

// tryNext returns what a newcomer may type beside dev, made from the application's own
// commands and projections.
func (c *cli) tryNext() []string {
	var out []string
	if send := c.trySend(); send != "" {
		out = append(out, send)
	}
	out = append(out, "event tail")
	if projections := c.Projections(); len(projections) > 0 {
		out = append(out, "projection rows "+projections[0])
	}
	return out
}

// trySend returns the command line that sends the sample command. Without a sample it is the first
// command of the catalogue, with a gap for each field that is required; "" if there is
// no command.
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
	names := c.Catalogue.Commands()
	if len(names) == 0 {
		return ""
	}
	t, _ := c.Catalogue.Lookup(names[0])
	text := "send " + t.Name
	for _, f := range t.Fields() {
		if f.Required {
			text += " -f " + f.Name + "=…"
		}
	}
	return text + " --wait"
}

// devFlags returns what a second terminal must add to reach this dev, whose Redis has
// the given address.
func (c *cli) devFlags(redis string) string {
	flags := ""
	switch {
	case c.settings.String("redis_url") != "":
		flags += " --redis-url redis://" + redis
	case redis != embedded.DefaultAddr:
		flags += " --dev-redis-addr " + redis
	}
	if c.settings.String("amqp_url") != "" {
		flags += " --amqp-url="
	}
	if namespace := c.settings.String("namespace"); namespace != "" {
		flags += " --namespace " + namespace
	}
	return flags
}
