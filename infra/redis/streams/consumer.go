package streams

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/dispatcher"
	"github.com/pitwheel/pitwheel/infra/redis/conn"
	"github.com/pitwheel/pitwheel/router"
	"github.com/pitwheel/pitwheel/router/backoff"
)

// delivery is what it takes to acknowledge an entry.
type delivery struct {
	stream string
	id     string
	term   *term
}

// term is one stretch of consuming under one consumer name. It is over when the
// subscription has lost the right to consume: what it has read is then handled elsewhere.
type term struct {
	consumer string
	over     atomic.Bool
	// lease ends with the right to consume where that is a lease. Its Err is exact also
	// right after a pause of the process, when over is not set yet.
	lease context.Context //nolint:containedctx // Only its Err is used.

	mu   sync.Mutex
	seen map[string]string // stream → id of the last entry that was read of it
}

// isOver reports whether what the term has read is handled elsewhere.
func (t *term) isOver() bool { return t.over.Load() || t.lease.Err() != nil }

func (t *term) setLast(stream, id string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.seen == nil {
		t.seen = map[string]string{}
	}
	t.seen[stream] = id
}

func (t *term) last(stream string) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.seen[stream]
}

// consumer is one running subscription: readers that feed the dispatcher, an acker that
// acknowledges what was handled, and a heartbeat.
type consumer struct {
	of        *Subscriber
	cfg       router.Subscription
	conn      *conn.Conn
	transport *Transport
	streams   []string
	topic     string
	out       chan *message.Message
	dispatch  *dispatcher.Dispatcher[delivery]
	acks      *acker
	heart     *heartbeat

	intake  context.Context // ends when nothing more may be received
	close   context.CancelFunc
	life    context.Context // ends when every delivery is acked or abandoned
	end     context.CancelFunc
	readers sync.WaitGroup
	once    sync.Once
	err     error
	ended   chan struct{}

	mu      sync.Mutex
	intakes []*intake // those of the present term
	lastErr error     // why nothing is consumed; nil while it is
}

// newConsumer starts a subscription. If its queue could not be declared, undeclared
// is the reason, and it is declared as soon as possible.
func newConsumer(of *Subscriber, topic string, undeclared error) *consumer {
	sub := &consumer{
		of: of, cfg: of.cfg, conn: of.transport.conn, transport: of.transport, topic: topic, streams: of.transport.feeds(topic, of.cfg.Queue),
		out: make(chan *message.Message), ended: make(chan struct{}),
	}
	sub.intake, sub.close = context.WithCancel(context.Background())
	sub.life, sub.end = context.WithCancel(context.Background())
	sub.acks = newAcker(sub)
	sub.dispatch = dispatcher.New(dispatcher.Config[delivery]{
		Concurrency: of.cfg.Concurrency, Window: of.cfg.Prefetch,
		Done: func(d delivery, handled bool) {
			if handled { // Else it stays pending, and is reclaimed.
				sub.acks.add(d)
			}
		},
		Stale: func(d delivery) bool { return d.term.isOver() },
	}, sub.out)
	sub.heart = newHeartbeat(sub)
	sub.setError(undeclared)
	sub.readers.Go(sub.consume)
	sub.readers.Go(sub.moveDue)
	return sub
}

// consume reads until intake ends. Where order across instances is asked for, it reads
// only while this instance is the leader.
func (sub *consumer) consume() {
	if sub.lastError() != nil {
		sub.retry(sub.intake, func() error { return sub.of.declare(sub.intake, sub.topic, false) })
	}
	if !sub.cfg.Ordered {
		sub.serve(sub.intake, context.Background())
		return
	}
	ctx, stop := context.WithCancel(sub.life)
	defer stop()
	defer context.AfterFunc(sub.intake, func() {
		if !sub.heart.leading.Load() {
			stop() // Nothing is in flight: stop standing by.
		}
	})()
	lead := func(held context.Context) error {
		sub.heart.leading.Store(true)
		defer sub.heart.leading.Store(false)
		serve, cancel := context.WithCancel(held)
		defer cancel()
		defer context.AfterFunc(sub.intake, cancel)()
		sub.serve(serve, held)
		if sub.intake.Err() == nil {
			return nil // The lease is lost.
		}
		<-held.Done() // What is in flight is finished under this lease.
		stop()
		return nil
	}
	sub.retry(ctx, func() error { return sub.transport.elector.Lead(ctx, "queue:"+sub.cfg.Queue, lead) })
}

// serve is one term, under a lease. It returns when ctx ends.
func (sub *consumer) serve(ctx, lease context.Context) {
	t := &term{consumer: events.NewID(), lease: lease}
	defer context.AfterFunc(ctx, func() {
		// If we stop by ourselves, what is in flight may still be finished.
		if sub.intake.Err() == nil {
			t.over.Store(true)
		}
	})()
	sub.heart.begin(ctx, t)
	var intakes []*intake
	for _, group := range sub.groups() {
		intakes = append(intakes, &intake{sub: sub, term: t, streams: group, ahead: make(chan batch, 1), ended: make(chan struct{})})
	}
	sub.setIntakes(intakes)
	var all sync.WaitGroup
	for _, in := range intakes {
		all.Go(func() { in.read(ctx) })
		all.Go(func() {
			defer close(in.ended)
			in.dispatch(ctx)
		})
	}
	all.Wait()
}

func (sub *consumer) setIntakes(of []*intake) {
	sub.mu.Lock()
	defer sub.mu.Unlock()
	sub.intakes = of
}

// groups are the streams that one command may read together: all of them, but on a
// cluster, where they are in different slots, each by itself.
func (sub *consumer) groups() [][]string {
	if !sub.conn.Cluster() {
		return [][]string{sub.streams}
	}
	var out [][]string
	for _, s := range sub.streams {
		out = append(out, []string{s})
	}
	return out
}

// Drain ends the subscription, once.
func (sub *consumer) Drain(ctx context.Context) error {
	sub.once.Do(func() {
		sub.close()
		sub.err = sub.dispatch.Drain(ctx)
		flushed := sub.acks.close(ctx)
		if sub.err == nil {
			sub.err = flushed
		}
		sub.end()
		sub.readers.Wait()
		sub.heart.close()
		close(sub.out)
		close(sub.ended)
	})
	<-sub.ended
	return sub.err
}

// retry repeats f, with backoff, until it succeeds or ctx ends. Ready returns why it fails. A
// consumer group that no longer exists is created again.
func (sub *consumer) retry(ctx context.Context, f func() error) {
	pause := backoff.Backoff{Min: minRetry, Max: maxRetry}
	for ctx.Err() == nil {
		err := f()
		if ctx.Err() != nil {
			return
		}
		sub.setError(err)
		if err == nil {
			return
		}
		if text := err.Error(); strings.Contains(text, "NOGROUP") || strings.Contains(text, "no such key") {
			// The group or its stream was deleted, or Redis has lost it.
			sub.of.log.WarnContext(ctx, "the consumer group does not exist and is created again")
			_ = sub.of.declare(ctx, sub.topic, true) // Its failure shows in the next attempt.
		}
		pause.Wait(ctx)
	}
}

// setError keeps why nothing is consumed, and logs changes.
func (sub *consumer) setError(err error) {
	sub.mu.Lock()
	was := sub.lastErr
	sub.lastErr = err
	sub.mu.Unlock()
	switch {
	case was == nil && err != nil:
		sub.of.log.Warn("consuming is interrupted", "error", err)
	case was != nil && err == nil:
		sub.of.log.Info("consuming again")
	}
}

func (sub *consumer) lastError() error {
	sub.mu.Lock()
	defer sub.mu.Unlock()
	return sub.lastErr
}

// Ready returns why nothing is consumed.
func (sub *consumer) Ready() error {
	if sub.intake.Err() != nil {
		return events.Errorf(events.CodeShuttingDown, "the subscription to %s has ended", sub.cfg.Queue)
	}
	return sub.lastError()
}
