package dispatcher

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
)

// ErrDraining is what Push returns once Drain has been called.
var ErrDraining = errors.New("the subscription is draining and accepts no more messages")

// Config configures a [Dispatcher]. D is what the consumer needs to acknowledge a
// delivery, such as a delivery tag.
type Config[D any] struct {
	// Concurrency is how many messages, all of different keys, are delivered at once.
	// 0 or less: 16.
	Concurrency int
	// Window is how many deliveries are accepted and not yet done, of which those of one
	// key are a sixteenth, but at least one. 0 or less: 4 × Concurrency, but at least 256.
	Window int
	// Overflow is how many deliveries are accepted beyond the share that their keys have of
	// the window, where they wait for others of their key: the keys of others go on. While all
	// payloads in the dispatcher have more than 64 MiB, no more are. 0 or less: 15 × Window.
	Overflow int
	// Done is called exactly once for every delivery that Push accepted: with true
	// when the message was acked, with false when it was abandoned during a drain or is
	// stale, so that the broker must deliver it again. Several goroutines call it
	// concurrently, for one key in order. A worker waits for it, so it must not block
	// for long, and it must not call Push or Drain. Nil: nothing is called.
	Done func(delivery D, acked bool)
	// Stale is called before a message is delivered. It reports whether the delivery is
	// no longer the consumer's, because its connection has ended: then Done is called
	// with false and the message is not delivered, as the broker delivers it again. It
	// must not block. Nil: no delivery is ever stale.
	Stale func(delivery D) bool
	// MinBackoff and MaxBackoff bound the pause after a Nack that asks for no pause
	// ([events.MetaPause]); it doubles from one to the other. 0 or less: 50 ms and 5 s.
	MinBackoff, MaxBackoff time.Duration
}

// Dispatcher is a window of deliveries in flight. Its methods are safe for concurrent
// use.
type Dispatcher[D any] struct {
	cfg   Config[D]
	share int // of a key in the window
	out   chan<- *message.Message

	// ctx is the parent of every message's context. It ends after intake does: when
	// a drain has ended or is cut short.
	ctx    context.Context
	cancel context.CancelFunc
	// stopping is closed when Drain begins.
	stopping chan struct{}
	stop     sync.Once
	workers  sync.WaitGroup

	mu        sync.Mutex
	draining  bool
	inWindow  int
	overflow  int // what is accepted beyond the window
	bytes     int // of the payloads of both
	queues    map[string]*keyQueue[D]
	ready     ring[D]               // may be delivered now
	retrying  map[*item[D]]struct{} // nacked, waiting for the next attempt
	started   int                   // workers that run
	idle      int                   // workers that wait on wake and were not signalled yet
	wake      *sync.Cond
	room      chan struct{} // closed when there may be room for callers of Push; nil if none waits
	freeItem  *item[D]
	freeQueue *keyQueue[D]

	oldest, present *generation // of what is in flight, for Flush
}

// New returns a Dispatcher that delivers to the given channel. The channel remains the
// caller's: it must be read until Drain has returned, and may be closed then. Drain must be called in the end.
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
	if cfg.Overflow <= 0 {
		cfg.Overflow = 15 * cfg.Window
	}
	if cfg.Done == nil {
		cfg.Done = func(D, bool) {}
	}
	if cfg.Stale == nil {
		cfg.Stale = func(D) bool { return false }
	}
	d := &Dispatcher[D]{
		cfg:      cfg,
		share:    max(1, cfg.Window/sharesOfWindow),
		out:      out,
		stopping: make(chan struct{}),
		queues:   make(map[string]*keyQueue[D]),
		retrying: make(map[*item[D]]struct{}),
	}
	d.ctx, d.cancel = context.WithCancel(context.Background())
	d.wake = sync.NewCond(&d.mu)
	d.present = newGeneration()
	d.oldest = d.present
	return d
}

// Push accepts a delivery. It blocks while the window is full, or for a key that has its share
// of the window, while the overflow is full; until ctx ends or Drain is called. After an error
// the delivery was not accepted, and Done is not called for it. A message with an empty key is
// not ordered.
//
// The message's context is replaced by one that ends when the message is done, and
// no sooner, unless a drain abandons the message.
func (d *Dispatcher[D]) Push(ctx context.Context, key string, msg *message.Message, delivery D) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for !d.draining && !d.hasRoom(key, len(msg.Payload)) {
		if err := d.waitForRoom(ctx); err != nil {
			return err
		}
	}
	if d.draining {
		return ErrDraining
	}
	it := d.newItem(msg, delivery)
	d.enter(it, key)
	if it.queue == nil || it.queue.length == 1 {
		d.makeReady(it)
	}
	return nil
}

// makeReady makes the item available to a worker. It is called with mu held.
func (d *Dispatcher[D]) makeReady(it *item[D]) {
	d.ready.push(it)
	switch {
	case d.idle > 0:
		d.idle--
		d.wake.Signal()
	case d.started < d.cfg.Concurrency:
		d.started++
		d.workers.Go(d.work)
	}
}

// InFlight returns how many deliveries are accepted and not yet done.
func (d *Dispatcher[D]) InFlight() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.inWindow + d.overflow
}

// Drain ends the window. From now on nothing more is accepted or delivered: what was
// accepted and not delivered is abandoned at once. Messages that were delivered are waited
// for. When ctx ends, they are abandoned as well: their contexts end, and Drain returns
// ctx's error. When Drain returns, [Config].Done has been called for everything, every
// goroutine has ended, and nothing is sent to the channel any more. Drain may be called
// again.
//
// A message that was nacked with a count of its attempts ([events.MetaAttempts]) is
// delivered once more, at once: from the broker it would come without the count, and the
// router can publish it with the count instead.
func (d *Dispatcher[D]) Drain(ctx context.Context) error {
	d.stop.Do(d.abandonQueued)
	done := make(chan struct{})
	go func() {
		d.workers.Wait()
		close(done)
	}()
	var err error
	select {
	case <-done:
	case <-ctx.Done():
		err = ctx.Err()
	}
	d.cancel()
	<-done
	return err
}

// abandonQueued ends intake and abandons what was not delivered.
func (d *Dispatcher[D]) abandonQueued() {
	for _, it := range d.endIntake() {
		d.cfg.Done(it.delivery, false)
		d.mu.Lock()
		d.exit(it)
		d.mu.Unlock()
	}
}

// endIntake returns everything that will not be delivered any more.
func (d *Dispatcher[D]) endIntake() []*item[D] {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.draining = true
	close(d.stopping)
	d.idle = 0
	d.wake.Broadcast()

	var left []*item[D]
	for it := d.ready.pop(); it != nil; it = d.ready.pop() {
		left = append(left, it)
	}
	for it := range d.retrying {
		if !d.deliverLast(it) {
			left = append(left, it)
		}
	}
	clear(d.retrying)
	for _, busy := range d.queues {
		for it := busy.pop(); it != nil; it = busy.pop() {
			left = append(left, it)
		}
	}
	return left
}
