package dispatcher

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
)

// ErrDraining is what Push returns once Drain has been called.
var ErrDraining = errors.New("the subscription is stopping and takes nothing more in")

// Config sets up [Dispatcher]. D is whatever the consumer needs to acknowledge a
// delivery, such as a delivery tag.
type Config[D any] struct {
	// Concurrency is how many messages, all of different keys, are handed out at
	// once. 0 or less: 16.
	Concurrency int
	// Window is how many deliveries are taken in and not yet settled. 0 or less:
	// 4 × Concurrency, but at least 256.
	Window int
	// Settle is called exactly once for every delivery that Push took in: with true
	// when the message was acked, with false when it was given up at the stop, so
	// that the broker must hand it out again. It is called by several goroutines at
	// once, for one key in order, and holds up a worker, so it must not block long.
	// It must not call Push or Drain. Nil: nobody is told.
	Settle func(d D, handled bool)
	// Stale is asked before a delivery is handed out. It answers true if the delivery
	// is no longer the consumer's, because the connection it came by has ended: then
	// the message is settled with false and not handed out, as the broker hands it
	// out anew. It must not block. Nil: none ever is.
	Stale func(d D) bool
	// MinBackoff and MaxBackoff bound the pause after a Nack that asks for no pause
	// of its own ([events.MetaPause]); it doubles from one to the other. 0 or less:
	// 50 ms and 5 s.
	MinBackoff, MaxBackoff time.Duration
}

// Dispatcher is the window of deliveries in flight. Its methods are safe for
// concurrent use.
type Dispatcher[D any] struct {
	cfg Config[D]
	out chan<- *message.Message

	// ctx is the parent of every message's context. It outlives intake: it ends
	// only when Drain gives up, or is done.
	ctx    context.Context
	cancel context.CancelFunc
	// stopping is closed when Drain begins.
	stopping chan struct{}
	stop     sync.Once
	workers  sync.WaitGroup

	mu       sync.Mutex
	draining bool
	inFlight int
	lanes    map[string]*lane[D]
	ready    ring[D]               // what may be handed out now
	resting  map[*item[D]]struct{} // what was nacked and waits for its next attempt
	started  int                   // workers that run
	idle     int                   // workers that wait on wake and were not signalled yet
	wake     *sync.Cond
	waiting  int           // callers of Push that wait for room
	room     chan struct{} // holds a token when there may be room for one of them
	freeItem *item[D]
	freeLane *lane[D]
}

// New returns Dispatcher that hand out to the given channel. The channel stays the
// caller's: it may close it once Drain has returned, and must keep it read (or
// call Drain) until then. Drain must be called in the end.
func New[D any](cfg Config[D], out chan<- *message.Message) *Dispatcher[D] {
	if cfg.Concurrency <= 0 {
		cfg.Concurrency = 16
	}
	if cfg.Window <= 0 {
		cfg.Window = max(256, 4*cfg.Concurrency)
	}
	if cfg.MinBackoff <= 0 {
		cfg.MinBackoff = 50 * time.Millisecond
	}
	if cfg.MaxBackoff <= 0 {
		cfg.MaxBackoff = 5 * time.Second
	}
	cfg.MaxBackoff = max(cfg.MaxBackoff, cfg.MinBackoff)
	if cfg.Settle == nil {
		cfg.Settle = func(D, bool) {}
	}
	if cfg.Stale == nil {
		cfg.Stale = func(D) bool { return false }
	}
	l := &Dispatcher[D]{
		cfg:      cfg,
		out:      out,
		stopping: make(chan struct{}),
		lanes:    make(map[string]*lane[D]),
		resting:  make(map[*item[D]]struct{}),
		room:     make(chan struct{}, 1),
	}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	l.wake = sync.NewCond(&l.mu)
	return l
}

// Push takes a delivery in. It blocks while the window is full, until ctx is
// over or Drain is called; after an error the delivery was not taken in, and
// Settle will not be called for it. An empty key means that the message has no
// order to keep.
//
// The message's context is replaced: handed out, it has one that ends when the
// message is settled, and no sooner, unless Drain gives the message up.
func (l *Dispatcher[D]) Push(ctx context.Context, key string, msg *message.Message, d D) error {
	l.mu.Lock()
	for !l.draining && l.inFlight >= l.cfg.Window {
		if err := l.waitForRoom(ctx); err != nil {
			l.mu.Unlock()
			return err
		}
	}
	if l.draining {
		l.mu.Unlock()
		return ErrDraining
	}
	l.inFlight++
	// One waiting caller is woken at a time; it passes the turn on.
	if l.waiting > 0 && l.inFlight < l.cfg.Window {
		l.offerRoom()
	}
	it := l.newItem(msg, d)
	if key != "" {
		if busy := l.lanes[key]; busy != nil {
			busy.push(it)
			it.lane = busy
			l.mu.Unlock()
			return nil
		}
		it.lane = l.newLane(key)
	}
	l.makeReady(it)
	l.mu.Unlock()
	return nil
}

// waitForRoom is called with mu held, and releases it while it waits.
func (l *Dispatcher[D]) waitForRoom(ctx context.Context) error {
	l.waiting++
	l.mu.Unlock()
	var err error
	select {
	case <-l.room:
	case <-l.stopping:
	case <-ctx.Done():
		err = ctx.Err()
	}
	l.mu.Lock()
	l.waiting--
	return err
}

// offerRoom is called with mu held.
func (l *Dispatcher[D]) offerRoom() {
	select {
	case l.room <- struct{}{}:
	default:
	}
}

// makeReady lets a worker take the item. It is called with mu held.
func (l *Dispatcher[D]) makeReady(it *item[D]) {
	l.ready.push(it)
	switch {
	case l.idle > 0:
		l.idle--
		l.wake.Signal()
	case l.started < l.cfg.Concurrency:
		l.started++
		l.workers.Go(l.work)
	}
}

// InFlight is how many deliveries are taken in and not yet settled.
func (l *Dispatcher[D]) InFlight() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.inFlight
}

// Drain ends the window. From now on nothing more is taken in or handed out:
// what was taken in but not handed out is settled with false at once. Messages
// that were handed out are waited for. When ctx is over, they are given up as
// well: their contexts end, they are settled with false, and Drain returns
// ctx's error. When Drain returns, everything is settled, every goroutine has
// ended, and nothing is sent to the channel any more. Drain may be called again.
func (l *Dispatcher[D]) Drain(ctx context.Context) error {
	l.stop.Do(l.giveUpQueued)
	done := make(chan struct{})
	go func() {
		l.workers.Wait()
		close(done)
	}()
	var err error
	select {
	case <-done:
	case <-ctx.Done():
		err = ctx.Err()
	}
	l.cancel()
	<-done
	return err
}

// giveUpQueued ends intake and settles what was not handed out.
func (l *Dispatcher[D]) giveUpQueued() {
	for _, it := range l.endIntake() {
		l.cfg.Settle(it.delivery, false)
		l.mu.Lock()
		l.inFlight--
		l.mu.Unlock()
	}
}

// endIntake returns everything that will not be handed out any more.
func (l *Dispatcher[D]) endIntake() []*item[D] {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.draining = true
	close(l.stopping)
	l.idle = 0
	l.wake.Broadcast()

	var left []*item[D]
	for it := l.ready.pop(); it != nil; it = l.ready.pop() {
		left = append(left, it)
	}
	for it := range l.resting {
		left = append(left, it)
	}
	clear(l.resting)
	for _, busy := range l.lanes {
		for it := busy.pop(); it != nil; it = busy.pop() {
			left = append(left, it)
		}
	}
	return left
}
