package rabbitmq

import (
	"container/list"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// ackEvery is how many acked deliveries are acknowledged together at most, and
	// ackAfter how long one waits for others.
	ackEvery = 64
	ackAfter = 2 * time.Millisecond
)

// acker acknowledges the deliveries of one channel in batches: everything up to the
// low-water mark, below which all are acked, with a single frame. What was acked above it
// waits a moment for the mark to rise, and is then acknowledged one by one, so that a slow
// message delays no other acknowledgement. Nothing is kept of what is acknowledged, however
// much of it there is above a slow message.
//
// Before a batch is acknowledged, prepare is called: once for all that was acked until then,
// however long it takes.
//
// The delivery tags of a channel with one consumer are 1, 2, 3, …
type acker struct {
	ack     func(tag uint64, multiple bool) error
	prepare func() bool // nil: nothing is to be done; false: nothing more is acknowledged
	batch   int
	limit   int // how many may wait above the low-water mark

	dead atomic.Bool // the channel has ended, and its tags are void

	mu      sync.Mutex
	running list.List                // the tags that are not acked, in order
	places  map[uint64]*list.Element // where they are in the list
	next    uint64                   // the tag of the next delivery
	acked   []uint64                 // acked and not yet acknowledged
	fresh   int                      // how many were acked since the last flush
	seen    uint64                   // the low-water mark at the last tick
	sending bool                     // what flush has removed is not yet acknowledged
	waits   []ackWait

	some, full chan struct{} // contain a token when something, or a batch, is acked
	stop       chan struct{}
	ended      sync.WaitGroup
}

// ackWait waits until all tags below one are acknowledged.
type ackWait struct {
	below uint64
	done  chan<- struct{} // is closed then
}

// newAcker returns an acker; start starts it.
func newAcker(ack func(tag uint64, multiple bool) error, prepare func() bool, prefetch int) *acker {
	return &acker{
		ack: ack, prepare: prepare, batch: max(1, min(ackEvery, prefetch/4)), limit: max(1, prefetch/2),
		places: make(map[uint64]*list.Element), next: 1,
		some: make(chan struct{}, 1), full: make(chan struct{}, 1), stop: make(chan struct{}),
	}
}

// start starts the goroutine that acknowledges, until close or abandon.
func (a *acker) start() { a.ended.Go(a.run) }

// delivered registers a tag. Tags must come in order.
func (a *acker) delivered(tag uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.next = tag + 1
	a.places[tag] = a.running.PushBack(tag)
}

// finish records how a delivery ended. One that was abandoned is never acknowledged: the
// broker delivers it again once the channel is closed.
func (a *acker) finish(tag uint64, ok bool) {
	if !ok || a.dead.Load() {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	place, ok := a.places[tag]
	if !ok {
		return
	}
	a.running.Remove(place)
	delete(a.places, tag)
	a.acked = append(a.acked, tag)
	switch a.fresh++; a.fresh {
	case a.batch:
		notify(a.full)
	case 1:
		notify(a.some)
	}
}

// low returns the low-water mark: all tags below it are acked.
func (a *acker) low() uint64 {
	if first := a.running.Front(); first != nil {
		return first.Value.(uint64)
	}
	return a.next
}

// run acknowledges until the acker is ended. It blocks while nothing is acked.
func (a *acker) run() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		select {
		case <-a.some:
		case <-a.full:
			if !a.flush(false, false) {
				continue
			}
		case <-a.stop:
			return
		}
		for waiting := true; waiting; {
			timer.Reset(ackAfter)
			tick := false
			select {
			case <-timer.C:
				tick = true
			case <-a.full:
			case <-a.stop:
				return
			}
			waiting = a.flush(tick, false)
		}
	}
}

// flush acknowledges what is due, and reports whether something acked is left. Only one
// may run at a time, or a later tag could overtake an earlier one.
func (a *acker) flush(tick, all bool) bool {
	top, single, left := a.due(tick, all)
	if (top > 0 || len(single) > 0) && a.prepare != nil && !a.prepare() || a.dead.Load() {
		return false
	}
	// An error means that the channel is closed, which the consumer notices as well.
	if top > 0 {
		_ = a.ack(top, true)
	}
	// The broker searches for each tag from the oldest one on, so ascending order is cheap.
	slices.Sort(single)
	for _, tag := range single {
		_ = a.ack(tag, false)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.sending = false
	a.notifyWaits()
	return left
}

// wait closes done once everything that was delivered until now is acknowledged. It is not
// closed if the acker ends before.
func (a *acker) wait(done chan<- struct{}) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.waits = append(a.waits, ackWait{a.next, done})
	a.notifyWaits()
}

// notifyWaits is called with mu held.
func (a *acker) notifyWaits() {
	if len(a.waits) == 0 || a.sending {
		return
	}
	oldest := a.low()
	for _, tag := range a.acked {
		oldest = min(oldest, tag)
	}
	a.waits = slices.DeleteFunc(a.waits, func(w ackWait) bool {
		if oldest < w.below {
			return false
		}
		close(w.done)
		return true
	})
}

// due removes and returns what flush has to acknowledge: all up to top, if that is not 0,
// and the single ones.
func (a *acker) due(tick, all bool) (top uint64, single []uint64, left bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.fresh = 0
	a.sending = true
	low := a.low()
	above := a.acked[:0]
	for _, tag := range a.acked {
		if tag < low {
			top = max(top, tag)
		} else {
			above = append(above, tag)
		}
	}
	a.acked = above
	if len(above) > 0 && (all || len(above) >= a.limit || tick && low == a.seen) {
		single, a.acked = above, nil
	}
	if tick {
		a.seen = low
	}
	return top, single, len(a.acked) > 0
}

// abandon ends the acker without acknowledging: the channel has ended, and the broker
// delivers again what was not acknowledged.
func (a *acker) abandon() {
	a.dead.Store(true)
	close(a.stop)
	a.ended.Wait()
}

// close acknowledges everything that is acked and ends the acker.
func (a *acker) close() {
	close(a.stop)
	a.ended.Wait()
	a.flush(false, true)
}
