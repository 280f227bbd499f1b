package main

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pitwheel/pitwheel/events"
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
// events of it are done with.
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

type timedReader struct {
	router.LogReader
	*stopwatch
}

// Read reads and starts the watch.
func (r timedReader) Read(ctx context.Context, after events.Cursor, limit int, wait time.Duration) ([]events.Recorded, error) {
	r.begin()
	return r.LogReader.Read(ctx, after, limit, wait)
}

type timedCheckpoints struct {
	router.Checkpoints
	*stopwatch
}

// SaveCheckpoint saves, and checks whether this is the end.
func (c timedCheckpoints) SaveCheckpoint(ctx context.Context, role string, at events.Cursor) error {
	err := c.Checkpoints.SaveCheckpoint(ctx, role, at)
	if err == nil {
		c.reached(at)
	}
	return err
}

type timedViews struct {
	router.ProjectionStore
	*stopwatch
}

// Commit commits, and checks whether this is the end.
func (v timedViews) Commit(ctx context.Context, c events.ProjectionCommit) error {
	err := v.ProjectionStore.Commit(ctx, c)
	if err == nil {
		v.reached(c.To)
	}
	return err
}
