package dispatcher

import "context"

const (
	// sharesOfWindow is how many busy keys fill a window. What they have beyond their shares
	// is the overflow.
	sharesOfWindow = 16
	// maxBytes is what all payloads may have together while the overflow grows.
	maxBytes = 64 << 20
)

// hasRoom reports whether a delivery of a key may be accepted: in the window, unless the key
// has its share of it. It is called with mu held.
func (d *Dispatcher[D]) hasRoom(key string, bytes int) bool {
	if busy := d.queues[key]; busy != nil && busy.length >= d.share {
		return d.overflow < d.cfg.Overflow && d.bytes+bytes <= maxBytes
	}
	return d.inWindow < d.cfg.Window
}

// enter counts an item, and puts it into the queue of its key. It is called with mu held.
func (d *Dispatcher[D]) enter(it *item[D], key string) {
	d.bytes += it.bytes
	if key == "" {
		d.inWindow++
		return
	}
	busy := d.queues[key]
	if busy == nil {
		busy = d.newQueue(key)
	} else {
		busy.push(it)
	}
	it.queue = busy
	if busy.length++; busy.length <= d.share {
		d.inWindow++
	} else {
		d.overflow++
	}
}

// exit counts an item that is done. Where its key has an overflow, the first of that takes
// its place in the window. It is called with mu held.
func (d *Dispatcher[D]) exit(it *item[D]) {
	d.bytes -= it.bytes
	if busy := it.queue; busy != nil && busy.length > d.share {
		d.overflow--
	} else {
		d.inWindow--
	}
	if it.queue != nil {
		it.queue.length--
	}
	d.leave(it.of)
	if d.room != nil {
		close(d.room)
		d.room = nil
	}
}

// waitForRoom is called with mu held, and releases it while it waits.
func (d *Dispatcher[D]) waitForRoom(ctx context.Context) error {
	if d.room == nil {
		d.room = make(chan struct{})
	}
	room := d.room
	d.mu.Unlock()
	defer d.mu.Lock()
	select {
	case <-room:
	case <-d.stopping:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}
