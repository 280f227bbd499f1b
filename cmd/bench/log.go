package main

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/redis"
	"github.com/pitwheel/pitwheel/router"
	"github.com/pitwheel/pitwheel/router/routertest/sample"
)

// Shared by the rows that read the log.

const (
	// historyLength is how many events each user has in a log that [application.record]
	// wrote: one creation and changes of address.
	historyLength = 10
	newEmail      = "ada.lovelace@example.com"
)

// history returns an event of a user's: the creation, and then changes of address.
func history(user, i int) events.Envelope {
	e := standard(1).envelope(user)
	if i > 0 {
		e.Type = "USER_EMAIL_CHANGED"
		e.Data, _ = json.Marshal(sample.EmailChanged{UserID: userID(user), Email: newEmail})
	}
	return e
}

// record writes n events into the log.
func (a *application) record(ctx context.Context, n int) {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(64)
	for user := range (n + historyLength - 1) / historyLength {
		group.Go(func() error {
			_, err := a.store.Append(ctx, decided(userID(user), 0, min(historyLength, n-user*historyLength), func(i int) events.Envelope {
				return history(user, i)
			}))
			return err
		})
	}
	check(group.Wait())
}

// stopwatch runs from the first read of the log that finds something until all n
// events of it are processed.
type stopwatch struct {
	n    uint64
	mu   sync.Mutex
	from time.Time
	took time.Duration
	done chan struct{}
}

func newStopwatch(n int) *stopwatch { return &stopwatch{n: uint64(n), done: make(chan struct{})} }

// begin is called before the first read.
func (w *stopwatch) begin() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.from.IsZero() {
		w.from = time.Now()
	}
}

// reached is called when a reader has got to a cursor.
func (w *stopwatch) reached(c events.Cursor) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.took == 0 && events.Cursor(nil).Behind(c) >= w.n {
		w.took = time.Since(w.from)
		close(w.done)
	}
}

// wait returns how many events a second were done with.
func (w *stopwatch) wait(ctx context.Context) float64 {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	select {
	case <-w.done:
	case <-ctx.Done():
		check(events.Errorf(events.CodeTimeout, "the reader of %d events did not get to the end of the log: %w", w.n, ctx.Err()))
	}
	return perSecond(int(w.n), w.took)
}

// timed is a store that starts a stopwatch when the log is read, and stops it when a
// checkpoint or a projection has got to the end.
type timed struct {
	*redis.Store
	watch *stopwatch
}

// Read reads the log.
func (t timed) Read(ctx context.Context, after events.Cursor, limit int, wait time.Duration) ([]events.Recorded, error) {
	t.watch.begin()
	return t.Store.Read(ctx, after, limit, wait)
}

// SaveCheckpoint saves a checkpoint.
func (t timed) SaveCheckpoint(ctx context.Context, c events.CheckpointCommit) error {
	err := t.Store.SaveCheckpoint(ctx, c)
	if err == nil {
		t.watch.reached(c.To)
	}
	return err
}

// Commit commits a step of a projection.
func (t timed) Commit(ctx context.Context, c events.ProjectionCommit) error {
	err := t.Store.Commit(ctx, c)
	if err == nil {
		t.watch.reached(c.To)
	}
	return err
}

// timed runs a router with the background roles whose names start with role until they have
// got to the end of a log of n events, and returns how many they did in a second.
func (a *application) timed(ctx context.Context, n int, role string, handlers ...router.Handler) float64 {
	t := timed{a.store, newStopwatch(n)}
	c := a.config(role, handlers...)
	c.Reader, c.Checkpoints, c.Projections = t, t, t
	return whileRunning(ctx, c, t.watch.wait)
}
