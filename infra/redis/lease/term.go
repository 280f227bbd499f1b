package lease

import (
	"context"
	"errors"
	"sync/atomic"
	"time"
)

// term is the context of a role while it is held.
//
// The goroutine that renews the lease ends it when the lease is lost. After the whole
// process was paused, by SIGSTOP or a frozen machine, that goroutine may be the last one to
// go on. So Err looks at the clock, too, which was not paused: who asks before each
// piece of work begins none beyond the lease.
type term struct {
	context.Context //nolint:containedctx // It is the context of a term, with a better Err.
	drop            context.CancelFunc
	begun           time.Time    // its monotonic reading is what counts
	left            atomic.Int64 // nanoseconds from begun on until the lease expires
}

func newTerm(ctx context.Context, until time.Time) (*term, context.CancelFunc) {
	held, drop := context.WithCancel(ctx)
	t := &term{Context: held, drop: drop, begun: time.Now()}
	t.extend(until)
	return t, drop
}

// extend sets when the lease expires: no later than in Redis, since that counts from when it
// has received what was sent at the beginning of the time.
func (t *term) extend(until time.Time) { t.left.Store(int64(until.Sub(t.begun))) }

func (t *term) until() time.Time { return t.begun.Add(time.Duration(t.left.Load())) }

func (t *term) expired() bool { return time.Since(t.begun) >= time.Duration(t.left.Load()) }

// Err returns an error once the lease is lost or has expired, or the role was given back.
func (t *term) Err() error {
	if err := t.Context.Err(); err != nil {
		return err
	}
	if t.expired() {
		t.drop()
	}
	return t.Context.Err()
}

// lost returns an error if the lease has expired; nil if the term has ended otherwise.
func (t *term) lost() error {
	if t.expired() {
		return errors.New("its lease has expired, and was not renewed in time")
	}
	return nil
}
