package cli

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/handlers"
	"github.com/pitwheel/pitwheel/router"
)

// activity shows what happens in dev as it happens, one line each.
type activity struct {
	mu  sync.Mutex
	out io.Writer
}

func (a *activity) say(what, format string, args ...any) {
	a.mu.Lock()
	defer a.mu.Unlock()
	_, _ = fmt.Fprintf(a.out, "%s  %-8s  %s\n", time.Now().Format("15:04:05.000"), what, fmt.Sprintf(format, args...))
}

// watchedLog shows each command that ends.
type watchedLog struct {
	router.Log
	*activity
}

func (l watchedLog) Append(ctx context.Context, a events.AppendRequest) (events.Outcome, error) {
	o, err := l.Log.Append(ctx, a)
	switch {
	case err != nil:
	case o.Status == events.StatusRejected:
		l.say("rejected", "%s %s  %s: %s", o.Aggregate, o.AggregateID, o.Code, o.Message)
	case len(a.Events) == 0 || len(o.Events) == 0 || a.Events[0].ID != o.Events[0].ID:
		l.say("accepted", "%s %s  version %d, nothing new", o.Aggregate, o.AggregateID, o.Version)
	default:
		for _, e := range a.Events {
			l.say("event", "%s v%d  %s %s  %s", e.Type, e.Version, e.Aggregate, e.AggregateID, e.Data)
		}
	}
	return o, err
}

// watchedViews shows each row that changes.
type watchedViews struct {
	router.ProjectionStore
	*activity
}

func (v watchedViews) Commit(ctx context.Context, c events.ProjectionCommit) error {
	err := v.ProjectionStore.Commit(ctx, c)
	if err == nil {
		for _, r := range c.Put {
			v.say("row", "%s  %s", c.Projection, r.Key)
		}
		for _, key := range c.Delete {
			v.say("no row", "%s  %s", c.Projection, key)
		}
	}
	return err
}

// watchedMail shows each mail that the catcher took.
type watchedMail struct {
	handlers.Mailer
	*activity
}

func (m watchedMail) Send(ctx context.Context, id, to, subject, text string) error {
	err := m.Mailer.Send(ctx, id, to, subject, text)
	if err == nil {
		m.say("mail", "%s  %q", to, subject)
	}
	return err
}
