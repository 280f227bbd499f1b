package cli

import (
	"context"
	"time"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/app"
)

// maxSampleErrors is how many different errors of samples are printed.
const maxSampleErrors = 20

// sendSamples sends the samples that dev is to send: the first one unless there is data
// already, and others every pause until ctx ends, if that is not 0.
func (c *cli) sendSamples(ctx context.Context, a *app.App, o devOptions, pause time.Duration) {
	s := &samples{c: c, a: a}
	if o.sample && !o.restarted() && (o.sampleSet || a.Dev().Fresh) {
		s.send(ctx, "Samples.First", c.Samples.First)
	}
	if pause > 0 {
		s.keepSending(ctx, c.Samples.Generator(), pause)
	}
}

// samples sends the sample commands of dev. Only one goroutine may use it.
type samples struct {
	c    *cli
	a    *app.App
	told map[string]bool // the errors that were printed
}

// send sends a sample, which comes from a field of [app.Samples]. An error is printed
// on stderr, each different one once: dev goes on without the sample.
func (s *samples) send(ctx context.Context, field string, cmd events.Command) {
	name, err := "", error(events.Errorf(events.CodeInvalid, "it is nil"))
	if cmd != nil {
		name = " " + cmd.CommandType()
		_, err = s.a.Send(ctx, cmd, events.SendOptions{})
	}
	if err == nil || ctx.Err() != nil {
		return
	}
	e := asError(err)
	told := name + e.Code + e.Message
	if s.told[told] || len(s.told) == maxSampleErrors {
		return
	}
	if s.told == nil {
		s.told = map[string]bool{}
	}
	s.told[told] = true
	hint := "correct " + field + " of the application"
	switch {
	case e.Code == events.CodeUnhandled:
		hint = "declare a handler of the command with router.Decide, or let " + field + " of the application be another command"
	case e.Hint != "":
		hint = e.Hint + "; or " + hint
	}
	printError(s.c.stderr, s.c.Name, "", events.Errorf(e.Code, "the sample command%s cannot be sent: %s", name, err).WithHint("%s", hint))
}

// keepSending sends one command of a generator every pause until ctx ends.
func (s *samples) keepSending(ctx context.Context, next func() events.Command, pause time.Duration) {
	ticker := time.NewTicker(pause)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			s.send(ctx, "Samples.Generator", next())
		case <-ctx.Done():
			return
		}
	}
}
