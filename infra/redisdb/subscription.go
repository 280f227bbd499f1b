package redisdb

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/dispatcher"
)

const (
	minRetry = 50 * time.Millisecond
	maxRetry = 2 * time.Second
)

// delivery is what it takes to acknowledge an entry.
type delivery struct {
	stream string
	id     string
	term   *term
}

// term is one stretch of consuming under one consumer name. It is over when the
// subscription has lost the right to consume: then what it has read is another
// one's to handle.
type term struct {
	consumer string
	over     atomic.Bool

	mu   sync.Mutex
	seen map[string]string // stream → id of the last entry that was read of it
}

func (t *term) saw(stream, id string) {
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

// subscription is one running Subscribe: a reader that feeds the lanes, an acker
// that acknowledges what they settle, and a caretaker.
type subscription struct {
	of      *Subscriber
	store   *Store
	streams []string
	topic   string
	out     chan *message.Message
	lanes   *dispatcher.Dispatcher[delivery]
	acks    *acker
	care    *caretaker

	intake  context.Context // ends when no more may be taken in
	close   context.CancelFunc
	life    context.Context // ends when everything is settled
	end     context.CancelFunc
	readers sync.WaitGroup
	once    sync.Once
	err     error
	ended   chan struct{}

	mu   sync.Mutex
	fail error // why nothing is consumed, nil while it is
}

// newSubscription starts a subscription. If its queue could not be prepared, it is
// told why, and prepares it once that has passed.
func newSubscription(of *Subscriber, topic string, unprepared error) *subscription {
	sub := &subscription{
		of: of, store: of.store, topic: topic, streams: of.streams(topic),
		out: make(chan *message.Message), ended: make(chan struct{}),
	}
	sub.intake, sub.close = context.WithCancel(context.Background())
	sub.life, sub.end = context.WithCancel(context.Background())
	sub.acks = newAcker(sub)
	sub.lanes = dispatcher.New(dispatcher.Config[delivery]{
		Concurrency: of.cfg.Concurrency, Window: of.cfg.Prefetch,
		Settle: sub.acks.settle,
		Stale:  func(d delivery) bool { return d.term.over.Load() },
	}, sub.out)
	sub.care = newCaretaker(sub)
	sub.note(unprepared)
	sub.readers.Go(sub.consume)
	sub.readers.Go(sub.moveDue)
	return sub
}

// consume reads until intake ends. Where order across instances is asked for, it
// reads only while this instance leads.
func (sub *subscription) consume() {
	if sub.trouble() != nil {
		sub.persist(sub.intake, func() error { return sub.of.prepare(sub.intake, sub.topic) })
	}
	if !sub.of.cfg.Ordered {
		sub.serve(sub.intake)
		return
	}
	ctx, stop := context.WithCancel(sub.life)
	defer stop()
	defer context.AfterFunc(sub.intake, func() {
		if !sub.care.leading.Load() {
			stop() // Nothing to finish: stop standing by.
		}
	})()
	_ = sub.store.Lead(ctx, "queue:"+sub.of.cfg.Queue, func(held context.Context) error {
		sub.care.leading.Store(true)
		defer sub.care.leading.Store(false)
		serve, cancel := context.WithCancel(held)
		defer cancel()
		defer context.AfterFunc(sub.intake, cancel)()
		sub.serve(serve)
		if sub.intake.Err() == nil {
			return nil // The lead is lost.
		}
		<-held.Done() // What is in flight is finished under this lead.
		stop()
		return nil
	})
}

// serve is one term. It returns when ctx is over.
func (sub *subscription) serve(ctx context.Context) {
	t := &term{consumer: events.NewID()}
	defer context.AfterFunc(ctx, func() {
		// At a stop of our own, what is in flight may still be finished.
		if sub.intake.Err() == nil {
			t.over.Store(true)
		}
	})()
	sub.care.begin(ctx, t)
	var all sync.WaitGroup
	for _, group := range sub.groups() {
		in := &intake{sub: sub, term: t, streams: group, ahead: make(chan batch, 1)}
		all.Go(func() { in.read(ctx) })
		all.Go(func() { in.take(ctx) })
	}
	all.Wait()
}

// groups are the streams that one command may read together: all of them, but on
// a cluster, where they lie in different slots, each alone.
func (sub *subscription) groups() [][]string {
	if !sub.store.cluster {
		return [][]string{sub.streams}
	}
	var out [][]string
	for _, s := range sub.streams {
		out = append(out, []string{s})
	}
	return out
}

// drain ends the subscription, once.
func (sub *subscription) drain(ctx context.Context) error {
	sub.once.Do(func() {
		sub.close()
		sub.err = sub.lanes.Drain(ctx)
		flushed := sub.acks.close(ctx)
		if sub.err == nil {
			sub.err = flushed
		}
		sub.end()
		sub.readers.Wait()
		sub.care.close()
		close(sub.out)
		close(sub.ended)
	})
	<-sub.ended
	return sub.err
}

// persist repeats f, with backoff, until it succeeds or ctx is over. Why it fails
// shows in Ready. A consumer group that is gone is made again.
func (sub *subscription) persist(ctx context.Context, f func() error) {
	for retry := minRetry; ctx.Err() == nil; retry = min(2*retry, maxRetry) {
		err := f()
		if ctx.Err() != nil {
			return
		}
		sub.note(err)
		if err == nil {
			return
		}
		if text := err.Error(); strings.Contains(text, "NOGROUP") || strings.Contains(text, "no such key") {
			// The group or its stream was deleted, or Redis has lost it.
			sub.of.log.WarnContext(ctx, "the consumer group is gone and is made again")
			_ = sub.of.prepare(ctx, sub.topic) // Its failure shows in the next try.
		}
		select {
		case <-ctx.Done():
		case <-time.After(retry):
		}
	}
}

// note keeps why nothing is consumed, and tells of changes.
func (sub *subscription) note(err error) {
	sub.mu.Lock()
	was := sub.fail
	sub.fail = err
	sub.mu.Unlock()
	switch {
	case was == nil && err != nil:
		sub.of.log.Warn("consuming is interrupted", "error", err)
	case was != nil && err == nil:
		sub.of.log.Info("consuming again")
	}
}

func (sub *subscription) trouble() error {
	sub.mu.Lock()
	defer sub.mu.Unlock()
	return sub.fail
}
