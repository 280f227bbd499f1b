package router

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// calmFor is how long it is believed that no key of a handler is blocked.
const calmFor = 100 * time.Millisecond

// calm remembers for a moment whether any key of a handler is blocked, so that
// keeping order costs nothing while nothing fails. What another instance blocks
// may go unnoticed for that moment. It matters to nobody: of an ordered handler
// one instance consumes at a time, and one that begins to asks first.
type calm struct {
	parking Parking
	handler string
	since   time.Time

	until atomic.Int64 // when to ask again, counted from since
	none  atomic.Bool  // no key is blocked
	mu    sync.Mutex   // held by whoever asks
}

func newCalm(p Parking, handler string) *calm {
	return &calm{parking: p, handler: handler, since: time.Now()}
}

// is tells whether no key is blocked, as far as is known.
func (c *calm) is(ctx context.Context) (bool, error) {
	if int64(time.Since(c.since)) < c.until.Load() {
		return c.none.Load(), nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	asked := time.Since(c.since)
	if int64(asked) < c.until.Load() {
		return c.none.Load(), nil // Somebody else has asked meanwhile.
	}
	keys, _, err := c.parking.CountParked(ctx, c.handler)
	if err != nil {
		return false, err
	}
	c.none.Store(keys == 0)
	c.until.Store(int64(asked + calmFor))
	return keys == 0, nil
}

// disturb is called when a key is blocked. An answer that is on its way, and may
// not know of it yet, is waited for.
func (c *calm) disturb() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.none.Store(false)
}
