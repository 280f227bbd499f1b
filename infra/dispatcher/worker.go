package dispatcher

import (
	"time"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router/lazyctx"
)

// work delivers one message after the other until the window is drained. There are as
// many workers as messages may be delivered at once, and a worker waits until its
// message is done: no goroutine is started for a message.
func (d *Dispatcher[D]) work() {
	for it := d.next(nil); it != nil; {
		r := d.deliver(it)
		if r == nacked && d.retryLater(it) {
			it = d.next(nil)
			continue
		}
		d.cfg.Done(it.delivery, r == acked)
		it = d.next(it)
	}
}

// result is what became of one attempt.
type result int

const (
	acked result = iota
	nacked
	abandoned
)

// deliver sends the message to the router and waits until it is acked or nacked.
func (d *Dispatcher[D]) deliver(it *item[D]) result {
	if d.cfg.Stale(it.delivery) {
		return abandoned
	}
	ctx := lazyctx.New(d.ctx, time.Time{})
	defer ctx.End()
	it.msg.SetContext(ctx)
	stopping := (<-chan struct{})(d.stopping)
	if it.last {
		stopping = d.ctx.Done()
	}
	select {
	case d.out <- it.msg:
	case <-stopping:
		return abandoned
	}
	select {
	case <-it.msg.Acked():
		return acked
	case <-it.msg.Nacked():
		return nacked
	case <-d.ctx.Done():
	}
	// The deadline of a drain and the end of a handler may coincide.
	select {
	case <-it.msg.Acked():
		return acked
	default:
		return abandoned
	}
}

// next removes the item that the worker is done with, if any, and waits for the next one.
// It returns nil when the window is drained.
func (d *Dispatcher[D]) next(done *item[D]) *item[D] {
	d.mu.Lock()
	defer d.mu.Unlock()
	if done != nil {
		d.exit(done)
		if busy := done.queue; busy != nil {
			// This worker takes an item right after, so none needs to be woken.
			if follower := busy.pop(); follower != nil {
				d.ready.push(follower)
			} else {
				d.dropQueue(busy)
			}
		}
		d.dropItem(done)
	}
	for {
		if it := d.ready.pop(); it != nil {
			return it
		}
		if d.draining {
			return nil
		}
		d.idle++
		d.wake.Wait()
	}
}

// retryLater makes a nacked item, and with it the queue of its key, wait in memory for its
// next attempt: for the pause in its metadata ([events.MetaPause]), else for one that doubles.
// No worker waits with it. It returns false if the window is being drained, and the item is
// not to be delivered once more.
func (d *Dispatcher[D]) retryLater(it *item[D]) bool {
	pause, err := time.ParseDuration(it.msg.Metadata[events.MetaPause])
	if err != nil {
		// Package backoff spreads its pauses, and this one must never be shorter than
		// MinBackoff.
		pause = d.cfg.MaxBackoff
		if shift := min(it.nacks, 62); d.cfg.MinBackoff < pause>>shift {
			pause = d.cfg.MinBackoff << shift
		}
		it.nacks++
	}
	delete(it.msg.Metadata, events.MetaPause)
	// A message can be acked or nacked only once, so the next attempt is made with a copy.
	it.msg = it.msg.Copy()

	d.mu.Lock()
	defer d.mu.Unlock()
	if d.draining {
		return d.deliverLast(it)
	}
	d.retrying[it] = struct{}{}
	time.AfterFunc(pause, func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		// A drain has abandoned what is no longer here.
		if _, ok := d.retrying[it]; ok {
			delete(d.retrying, it)
			d.makeReady(it)
		}
	})
	return true
}

// deliverLast has an item delivered once more while the window is drained, if the router
// counts its attempts and has yet to learn of the drain. It is called with mu held.
func (d *Dispatcher[D]) deliverLast(it *item[D]) bool {
	if it.last || it.msg.Metadata[events.MetaAttempts] == "" {
		return false
	}
	it.last = true
	d.ready.push(it)
	return true
}
