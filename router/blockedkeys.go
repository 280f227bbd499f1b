package router

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// blockedKeysTTL is how long it is taken for granted that a handler has no blocked keys.
const blockedKeysTTL = 100 * time.Millisecond

// blockedKeys caches whether any key of a handler is blocked, so that keeping order
// costs nothing while nothing fails. A key that another instance blocks may be missed
// until the cache expires. The order is kept all the same: of an ordered handler
// one instance consumes at a time, and one that begins to consume asks the store first.
type blockedKeys struct {
	parking Parking
	handler string
	since   time.Time

	expires atomic.Int64 // since then
	none    atomic.Bool  // no key is blocked
	mu      sync.Mutex   // held while the store is asked
}

func newBlockedKeys(p Parking, handler string) *blockedKeys {
	return &blockedKeys{parking: p, handler: handler, since: time.Now()}
}

// isEmpty reports whether no key is blocked, as far as is known.
func (b *blockedKeys) isEmpty(ctx context.Context) (bool, error) {
	if int64(time.Since(b.since)) < b.expires.Load() {
		return b.none.Load(), nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	asked := time.Since(b.since)
	if int64(asked) < b.expires.Load() {
		return b.none.Load(), nil // Another goroutine has asked meanwhile.
	}
	keys, _, err := b.parking.CountParked(ctx, b.handler)
	if err != nil {
		return false, err
	}
	b.none.Store(keys == 0)
	b.expires.Store(int64(asked + blockedKeysTTL))
	return keys == 0, nil
}

// add notes that a key was blocked. It waits for an answer of the store that is on its
// way, and may not know of the key yet.
func (b *blockedKeys) add() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.none.Store(false)
}
