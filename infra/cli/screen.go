package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pitwheel/pitwheel/infra/app"
	"github.com/pitwheel/pitwheel/infra/telemetry"
)

// startScreen shows where everything is, what of it is durable, and what to try next.
func (c *cli) startScreen(a *app.App, o devOptions) {
	dev := a.Dev()
	out := c.stdout
	line := func(name, text string) { _, _ = fmt.Fprintf(out, "  %-9s %s\n", name, text) }
	_, _ = fmt.Fprintf(out, "%s dev: %s\n\n", c.Name, c.durable(dev, o))
	line("HTTP", fmt.Sprintf("http://%s     commands, projections, /readyz, /metrics", a.Addr()))
	if dev.Redis != "" {
		line("Redis", fmt.Sprintf("redis://%s    in this process: the log, the streams, the projections", dev.Redis))
	} else {
		line("Redis", telemetry.RedactURL(c.settings.String("redis_url"))+"    the log, the projections")
	}
	if url := c.fromFlag("amqp_url"); url != "" {
		line("RabbitMQ", telemetry.RedactURL(url)+"    commands and events")
	}
	for _, s := range dev.Services {
		line(s.Name, s.URL+"    "+s.About)
	}
	line("Handlers", strings.Join(c.markedHandlers(dev), ", "))
	if len(dev.Ignored) > 0 {
		var names []string
		for _, name := range dev.Ignored {
			origin := c.settings.Origin(name)
			names = append(names, fmt.Sprintf("%s (%s)", name, origin.Location))
		}
		line("Ignored", strings.Join(names, ", ")+": dev takes these from flags only")
	}
	_, _ = fmt.Fprintf(out, "\nTry next, in a second terminal:\n\n")
	for _, command := range c.tryNext(dev) {
		_, _ = fmt.Fprintf(out, "  %s %s%s\n", program(), command, c.devFlags(dev.Redis))
	}
	_, _ = fmt.Fprintf(out, "\nCtrl-C ends it.\n\n")
}

// durable says what remains when dev ends.
func (c *cli) durable(dev app.Dev, o devOptions) string {
	queues := ""
	if c.fromFlag("amqp_url") != "" {
		queues = " The queues of RabbitMQ stay."
	}
	switch {
	case dev.Redis == "" && c.fromFlag("durability") != "":
		return "the handlers run in this process. What they store stays in Redis, with the durability " + c.fromFlag("durability") + "."
	case dev.Redis == "":
		return "the handlers run in this process. What they store stays in Redis, as durable as that is."
	case o.temporary():
		return "everything runs in this process. Its data is kept when a saved file restarts it, and gone when it ends." + queues
	case o.data != "":
		return "everything runs in this process, and " + o.data + " keeps its data. A crash costs up to the last second of it." + queues
	case queues != "":
		return "everything but RabbitMQ runs in this process, and nothing of it is durable. When it ends, the log is gone." + queues
	}
	return "everything runs in this process, and nothing is durable. When it ends, all of it is gone."
}

// markedHandlers returns the names of all handlers, those marked that do not run as usual.
func (c *cli) markedHandlers(dev app.Dev) []string {
	names := c.HandlerNames()
	for i, name := range names {
		if slices.Contains(dev.Failing, name) {
			names[i] += " (fails)"
		}
		if slices.Contains(dev.Paused, name) {
			names[i] += " (paused)"
		}
	}
	return names
}
