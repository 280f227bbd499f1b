package rabbit

import (
	"sync"
	"sync/atomic"
	"time"
)

const (
	// ackEvery is how many handled deliveries are acknowledged together at most,
	// and ackAfter how long one waits for company.
	ackEvery = 64
	ackAfter = 2 * time.Millisecond
)

// acker acknowledges the deliveries of one channel in batches: everything up to
// the low-water mark, below which all are handled, with a single frame. What was
// handled behind one that is still running waits for it a moment, and is then
// acknowledged one by one, so that a slow message holds no other back.
//
// Tags of a channel with one consumer count up from 1.
type acker struct {
	ack   func(tag uint64, multiple bool) error
	batch int
	limit int // how many may wait behind the low-water mark

	dead atomic.Bool // the channel has ended, and its tags mean nothing any more

	mu     sync.Mutex
	state  []tagState // by tag, in a ring whose length is a power of two
	next   uint64     // the tag that comes next
	low    uint64     // all tags below it are handled
	top    uint64     // the highest handled tag below low that is not acknowledged; 0 for none
	behind int        // how many are handled and not acknowledged above low
	fresh  int        // how many were handled since the last flush
	seen   uint64     // low at the last tick

	some, full chan struct{} // hold a token when something, or a batch, is handled
	stop       chan struct{}
	ended      sync.WaitGroup
}

type tagState uint8

const (
	running tagState = iota
	handled
	acknowledged
)

// newAcker makes an acker, which start sets to work.
func newAcker(ack func(tag uint64, multiple bool) error, prefetch int) *acker {
	size := 16
	for size < prefetch {
		size *= 2
	}
	a := &acker{
		ack: ack, batch: max(1, min(ackEvery, prefetch/4)), limit: max(1, prefetch/2),
		state: make([]tagState, size),
		next:  1, low: 1,
		some: make(chan struct{}, 1), full: make(chan struct{}, 1), stop: make(chan struct{}),
	}
	return a
}

// start lets the acker acknowledge by itself until close or die.
func (a *acker) start() { a.ended.Go(a.run) }

func (a *acker) at(tag uint64) *tagState { return &a.state[tag&uint64(len(a.state)-1)] }

// delivered makes room for a tag. Tags must come in order.
func (a *acker) delivered(tag uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.next = tag + 1
	if a.next-a.low <= uint64(len(a.state)) {
		return
	}
	small := a.state
	a.state = make([]tagState, 2*len(small))
	for t := a.low; t < tag; t++ {
		*a.at(t) = small[t&uint64(len(small)-1)]
	}
}

// settle records how a delivery ended. One that was given up is never
// acknowledged: the broker delivers it again once the channel is closed.
func (a *acker) settle(tag uint64, ok bool) {
	if !ok || a.dead.Load() {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if tag < a.low || tag >= a.next {
		return
	}
	*a.at(tag) = handled
	a.behind++
	for a.low < a.next && *a.at(a.low) != running {
		if *a.at(a.low) == handled {
			a.top = a.low
			a.behind--
		}
		*a.at(a.low) = running // The place is used again.
		a.low++
	}
	switch a.fresh++; a.fresh {
	case a.batch:
		notify(a.full)
	case 1:
		notify(a.some)
	}
}

// run acknowledges until the acker is ended. It sleeps while nothing is handled.
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

// flush acknowledges what is due, and returns whether something handled is left.
// Only one may run at a time, or a later tag could overtake an earlier one.
func (a *acker) flush(tick, all bool) bool {
	a.mu.Lock()
	a.fresh = 0
	top := a.top
	a.top = 0
	var single []uint64
	if a.behind > 0 && (all || a.behind >= a.limit || tick && a.low == a.seen) {
		for tag := a.low + 1; tag < a.next; tag++ {
			if *a.at(tag) == handled {
				*a.at(tag) = acknowledged
				single = append(single, tag)
			}
		}
		a.behind = 0
	}
	if tick {
		a.seen = a.low
	}
	left := a.behind > 0
	a.mu.Unlock()

	if a.dead.Load() {
		return false
	}
	// An error means that the channel is closed, which the consumer learns, too.
	if top > 0 {
		_ = a.ack(top, true)
	}
	for _, tag := range single {
		_ = a.ack(tag, false)
	}
	return left
}

// die forgets everything: the channel has ended, and the broker delivers anew
// what was not acknowledged.
func (a *acker) die() {
	a.dead.Store(true)
	close(a.stop)
	a.ended.Wait()
}

// close acknowledges all that is handled and ends the acker.
func (a *acker) close() {
	close(a.stop)
	a.ended.Wait()
	a.flush(false, true)
}
