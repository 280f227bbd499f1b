package rabbitmq_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router"
)

func (b *bench) publish(t *testing.T, n int) {
	t.Helper()
	var msgs []*message.Message
	for _, id := range ids(n) {
		msgs = append(msgs, created(id))
	}
	if err := b.broker.Publisher().Publish("user.events", msgs...); err != nil {
		t.Fatal(err)
	}
}

func wantDepth(t *testing.T, b *bench, want int) {
	t.Helper()
	eventually(t, "the queue has what was not acknowledged", func() bool { return b.depth("q") == want })
}

// Nothing is acknowledged before BeforeAck has succeeded, and Ready says what it waits for.
func TestSubscriber_BeforeAck_HoldsAcknowledgements(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	var fails atomic.Bool
	fails.Store(true)
	called := make(chan struct{}, 1)
	sub := b.subscriber(func(c *router.Subscription) {
		c.BeforeAck = func(context.Context) error {
			if !fails.Load() {
				return nil
			}
			select {
			case called <- struct{}{}:
			default:
			}
			return errors.New("the ledger is full")
		}
	})
	out := b.subscribe(sub)
	b.publish(t, 3)
	for range 3 {
		receive(t, out).Ack()
	}
	<-called
	eventually(t, "Ready says why", func() bool { return events.CodeOf(sub.Ready()) == events.CodeUnavailable })
	b.proxy.Cut() // The acknowledgements that waited are void.
	for range 3 {
		msg := receive(t, out)
		if msg.Metadata.Get("x-redelivered") == "" {
			t.Error("the message was not acked before")
		}
		msg.Ack()
	}
	fails.Store(false)
	eventually(t, "ready again", func() bool { return sub.Ready() == nil })
	if err := sub.Drain(t.Context()); err != nil {
		t.Error(err)
	}
	wantDepth(t, b, 0)
}

// One call of BeforeAck is for everything that was acked until then.
func TestSubscriber_BeforeAck_GroupCommit(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	const n = 900 // less than the prefetch
	calls := 0
	acked, all := 0, make(chan struct{})
	sub := b.subscriber(func(c *router.Subscription) {
		c.BeforeAck = func(context.Context) error {
			calls++
			<-all
			return nil
		}
	})
	out := b.subscribe(sub)
	b.publish(t, n)
	for acked < n {
		receive(t, out).Ack()
		acked++
	}
	close(all)
	if err := sub.Drain(t.Context()); err != nil {
		t.Error(err)
	}
	wantDepth(t, b, 0)
	if calls == 0 || calls > 5 {
		t.Errorf("BeforeAck was called %d times for %d messages that were acked while it waited", calls, n)
	}
}

// A drain waits for BeforeAck, and no longer than until its deadline.
func TestSubscriber_BeforeAck_Drain(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	proceed, begun := make(chan error), make(chan struct{}, 1)
	sub := func() router.Subscriber {
		return b.subscriber(func(c *router.Subscription) {
			c.BeforeAck = func(ctx context.Context) error {
				select {
				case begun <- struct{}{}:
				default:
				}
				select {
				case err := <-proceed:
					return err
				case <-ctx.Done():
					return ctx.Err()
				}
			}
		})
	}
	first := sub()
	out := b.subscribe(first)
	b.publish(t, 1)
	receive(t, out).Ack()
	<-begun
	drained := make(chan error, 1)
	go func() { drained <- first.Drain(t.Context()) }()
	proceed <- errors.New("once more")
	proceed <- nil
	if err := <-drained; err != nil {
		t.Errorf("Drain: %v", err)
	}
	wantDepth(t, b, 0)

	second := sub()
	out = b.subscribe(second)
	b.publish(t, 1)
	receive(t, out).Ack()
	<-begun
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := second.Drain(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a drain that is cut short: %v", err)
	}
	wantDepth(t, b, 1)
}

func flushing(s router.Subscriber) <-chan error {
	done := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		done <- s.(router.Flusher).Flush(ctx)
	}()
	return done
}

// Flush waits for everything that was received before, down to the acknowledgement.
func TestSubscriber_Flush(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	var mu sync.Mutex
	order := []string{}
	note := func(s string) {
		mu.Lock()
		defer mu.Unlock()
		order = append(order, s)
	}
	proceed := make(chan struct{})
	sub := b.subscriber(func(c *router.Subscription) {
		c.Concurrency = 1
		c.BeforeAck = func(ctx context.Context) error {
			select {
			case <-proceed:
			case <-ctx.Done():
				return ctx.Err()
			}
			return nil
		}
	})
	if err := <-flushing(sub); err != nil {
		t.Errorf("Flush before Subscribe: %v", err)
	}
	out := b.subscribe(sub)
	b.publish(t, 20)
	first := receive(t, out) // The broker has sent the others as well.
	flushed := make(chan error, 1)
	go func() {
		err := <-flushing(sub)
		note("flushed")
		flushed <- err
	}()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	wantCode(t, sub.(router.Flusher).Flush(ctx), events.CodeTimeout)
	first.Nack()
	for range 20 {
		msg := receive(t, out)
		note("acked")
		msg.Ack()
	}
	note("proceed")
	close(proceed)
	if err := <-flushed; err != nil {
		t.Errorf("Flush: %v", err)
	}
	mu.Lock()
	if len(order) != 22 || order[20] != "proceed" || order[21] != "flushed" {
		t.Errorf("Flush has not waited: %v", order)
	}
	mu.Unlock()
	wantDepth(t, b, 0)
	if err := <-flushing(sub); err != nil {
		t.Errorf("Flush with nothing received: %v", err)
	}
}

// What is given back to the broker need not be waited for.
func TestSubscriber_Flush_LostConnection(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	sub := b.subscriber()
	out := b.subscribe(sub)
	b.publish(t, 1)
	receive(t, out)
	flushed := flushing(sub)
	b.proxy.Cut()
	if err := <-flushed; err == nil {
		receive(t, out).Ack()
		return
	}
	t.Error("Flush waits for a message that the broker delivers again")
}
