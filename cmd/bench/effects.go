package main

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/redis"
	"github.com/pitwheel/pitwheel/router"
	"github.com/pitwheel/pitwheel/router/backoff"
	"github.com/pitwheel/pitwheel/router/routertest/sample"
)

// effects are what the commands of the sample application lead to: a mail and a row of the
// directory for each user.
type effects struct {
	store    *redis.Store
	sent     int64 // commands that were, or will be, accepted
	welcomed sync.Map
	mails    atomic.Int64 // size of welcomed
}

// welcome is what the reaction does: it counts users, each once.
func (e *effects) welcome(_ context.Context, created router.Event[sample.Created]) error {
	if _, twice := e.welcomed.LoadOrStore(created.ID, true); !twice {
		e.mails.Add(1)
	}
	return nil
}

// drained waits until every user has been sent a mail and has a row.
func (e *effects) drained(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		end := get(e.store.End(ctx))
		at := get(e.store.ProjectionCursor(ctx, "user-directory"))
		if e.mails.Load() == e.sent && at.Behind(end) == 0 {
			return
		}
		if !backoff.Wait(ctx, 2*time.Millisecond) {
			check(events.Errorf(events.CodeTimeout, "%d commands were accepted, %d mails are sent, and the directory is %d events behind", e.sent, e.mails.Load(), at.Behind(end)))
		}
	}
}
