package dispatcher

import (
	"time"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router/lazyctx"
)

// work hands out one message after the other until the window is drained. There
// are as many workers as messages may be out at once, and a worker stays with
// its message until that is settled: no goroutine a message, and none in between.
func (l *Dispatcher[D]) work() {
	for it := l.next(nil); it != nil; {
		switch l.handOut(it) {
		case acked:
			l.cfg.Settle(it.delivery, true)
			it = l.next(it)
		case givenUp:
			l.cfg.Settle(it.delivery, false)
			it = l.next(it)
		case nacked:
			if l.rest(it) {
				it = l.next(nil)
			} else {
				l.cfg.Settle(it.delivery, false)
				it = l.next(it)
			}
		}
	}
}

type verdict int

const (
	acked verdict = iota
	nacked
	givenUp
)

// handOut gives the message to the router and waits for its verdict.
func (l *Dispatcher[D]) handOut(it *item[D]) verdict {
	if l.cfg.Stale(it.delivery) {
		return givenUp
	}
	ctx := lazyctx.New(l.ctx, time.Time{})
	defer ctx.End()
	it.msg.SetContext(ctx)
	select {
	case l.out <- it.msg:
	case <-l.stopping:
		return givenUp
	}
	select {
	case <-it.msg.Acked():
		return acked
	case <-it.msg.Nacked():
		return nacked
	case <-l.ctx.Done():
	}
	// The deadline of a drain and the end of a handler may meet.
	select {
	case <-it.msg.Acked():
		return acked
	default:
		return givenUp
	}
}

// next settles the books for what the worker has finished, if anything, and
// waits for the next item. It returns nil when the window is drained.
func (l *Dispatcher[D]) next(finished *item[D]) *item[D] {
	l.mu.Lock()
	defer l.mu.Unlock()
	if finished != nil {
		l.inFlight--
		if l.waiting > 0 {
			l.offerRoom()
		}
		if busy := finished.lane; busy != nil {
			// This worker takes an item right after, so nobody needs to be woken.
			if follower := busy.pop(); follower != nil {
				l.ready.push(follower)
			} else {
				l.dropLane(busy)
			}
		}
		l.dropItem(finished)
	}
	for {
		if l.draining {
			return nil
		}
		if it := l.ready.pop(); it != nil {
			return it
		}
		l.idle++
		l.wake.Wait()
	}
}

// rest keeps a nacked item, and with it its key, back until its pause is over: the
// one that whoever nacked it asked for beside the message ([events.MetaPause]),
// else a growing one. It takes up no worker meanwhile. It returns false if the
// window is being drained.
func (l *Dispatcher[D]) rest(it *item[D]) bool {
	pause, err := time.ParseDuration(it.msg.Metadata[events.MetaPause])
	if err != nil {
		pause = l.cfg.MaxBackoff
		if shift := min(it.nacks, 62); l.cfg.MinBackoff < pause>>shift {
			pause = l.cfg.MinBackoff << shift
		}
		it.nacks++
	}
	delete(it.msg.Metadata, events.MetaPause)
	// A message can be settled only once, so the next attempt is made with a copy.
	it.msg = it.msg.Copy()

	l.mu.Lock()
	defer l.mu.Unlock()
	if l.draining {
		return false
	}
	l.resting[it] = struct{}{}
	time.AfterFunc(pause, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		// A drain has settled what is no longer here.
		if _, ok := l.resting[it]; ok {
			delete(l.resting, it)
			l.makeReady(it)
		}
	})
	return true
}
