package redisdb

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/redis/go-redis/v9"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/lanes"
)

const (
	entriesAtOnce = 256 // in one read or claim
	minRetry      = 50 * time.Millisecond
	maxRetry      = 2 * time.Second
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
	lanes   *lanes.Lanes[delivery]
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

func newSubscription(of *Subscriber, topic string) *subscription {
	sub := &subscription{
		of: of, store: of.store, topic: topic, streams: of.streams(topic),
		out: make(chan *message.Message), ended: make(chan struct{}),
	}
	sub.intake, sub.close = context.WithCancel(context.Background())
	sub.life, sub.end = context.WithCancel(context.Background())
	sub.acks = newAcker(sub)
	sub.lanes = lanes.New(lanes.Config[delivery]{
		Concurrency: of.cfg.Concurrency, Window: of.cfg.Prefetch,
		Settle: sub.acks.settle,
		Stale:  func(d delivery) bool { return d.term.over.Load() },
	}, sub.out)
	sub.care = newCaretaker(sub)
	sub.readers.Go(sub.consume)
	sub.readers.Go(sub.moveDue)
	return sub
}

// consume reads until intake ends. Where order across instances is asked for, it
// reads only while this instance leads.
func (sub *subscription) consume() {
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
		all.Go(func() { sub.read(ctx, t, group) })
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

// read takes in entries until ctx is over: first what dead consumers left, then
// new ones. Errors are waited out.
func (sub *subscription) read(ctx context.Context, t *term, streams []string) {
	retry, failed := minRetry, false
	for ctx.Err() == nil {
		err := sub.takeOver(ctx, t, streams)
		if err == nil && failed {
			err = sub.readLost(ctx, t, streams)
		}
		if err == nil {
			failed = false
			err = sub.readNew(ctx, t, streams)
		}
		if ctx.Err() != nil {
			return
		}
		sub.note(err)
		if err == nil {
			retry = minRetry
			continue
		}
		failed = true
		if strings.Contains(err.Error(), "NOGROUP") {
			// The group or its stream was deleted, or Redis has lost it.
			sub.of.log.WarnContext(ctx, "the consumer group is gone and is made again")
			_ = sub.of.initialize(ctx, sub.topic) // Its failure shows in the next read.
		}
		select {
		case <-ctx.Done():
		case <-time.After(retry):
		}
		retry = min(2*retry, maxRetry)
	}
}

func (sub *subscription) readNew(ctx context.Context, t *term, streams []string) error {
	args := make([]any, 0, 9+2*len(streams))
	args = append(args, "xreadgroup", "group", sub.of.cfg.Queue, t.consumer, "count", entriesAtOnce,
		"block", longestBlock.Milliseconds(), "streams")
	for _, s := range streams {
		args = append(args, s)
	}
	for range streams {
		args = append(args, ">")
	}
	found, err := redisSlice(ctx, sub.store.client, args...)
	if errors.Is(err, redis.Nil) {
		return nil
	}
	if err != nil {
		return sub.store.link.explain(err)
	}
	_, err = sub.takeStreams(ctx, t, found)
	return err
}

// takeOver takes in what consumers that are gone have read and not settled.
func (sub *subscription) takeOver(ctx context.Context, t *term, streams []string) error {
	for _, stream := range streams {
		var left []any
		for _, gone := range sub.care.gone(stream) {
			for {
				entries, err := sub.claim(ctx, stream, gone)
				if err != nil {
					return err
				}
				if len(entries) == 0 {
					break
				}
				left = append(left, entries...)
			}
			sub.care.buried(stream, gone)
		}
		if len(left) == 0 {
			continue
		}
		slices.SortFunc(left, func(a, b any) int { return compareIDs(entryID(a), entryID(b)) })
		sub.of.log.InfoContext(ctx, "messages of a consumer that is gone are taken over", "stream", stream, "messages", len(left))
		if err := sub.take(ctx, t, stream, left); err != nil {
			return err
		}
	}
	return nil
}

// claim takes over entries of a consumer that is gone, under a name of their own:
// if the reply is lost, that name stays silent, and is found dead in its turn.
func (sub *subscription) claim(ctx context.Context, stream, gone string) ([]any, error) {
	heir := events.NewID()
	sub.care.adopt(heir)
	reply, err := sub.store.run(ctx, sub.store.scripts.claim, []string{stream}, sub.of.cfg.Queue, gone, heir, entriesAtOnce)
	entries, _ := reply.([]any)
	if len(entries) == 0 {
		sub.care.disown(heir)
	}
	return entries, err
}

// readLost takes in what a reply that never came has handed to our consumer:
// entries beyond the last one that we have seen of a stream.
func (sub *subscription) readLost(ctx context.Context, t *term, streams []string) error {
	for _, stream := range streams {
		for {
			found, err := redisSlice(ctx, sub.store.client, "xreadgroup", "group", sub.of.cfg.Queue, t.consumer,
				"count", entriesAtOnce, "streams", stream, cmp.Or(t.last(stream), "0"))
			if err != nil && !errors.Is(err, redis.Nil) {
				return sub.store.link.explain(err)
			}
			if n, err := sub.takeStreams(ctx, t, found); err != nil || n == 0 {
				if err != nil {
					return err
				}
				break
			}
		}
	}
	return nil
}

// takeStreams takes in a reply of XREADGROUP, and returns of how many entries.
func (sub *subscription) takeStreams(ctx context.Context, t *term, streams []any) (int, error) {
	n := 0
	for _, stream := range streams {
		pair, _ := stream.([]any)
		if len(pair) != 2 {
			continue
		}
		entries, _ := pair[1].([]any)
		if len(entries) == 0 {
			continue
		}
		n += len(entries)
		name := text(pair[0])
		t.saw(name, entryID(entries[len(entries)-1]))
		if err := sub.take(ctx, t, name, entries); err != nil {
			return n, err
		}
	}
	return n, nil
}

// take pushes entries into the lanes, which blocks while their window is full.
func (sub *subscription) take(ctx context.Context, t *term, stream string, entries []any) error {
	var types []string // What is sent straight to the queue is meant for it, whatever its type.
	if sub.topic != "" && stream == sub.store.streamKey(sub.topic) {
		types = sub.of.cfg.Types
	}
	for _, e := range entries {
		pair, _ := e.([]any)
		if len(pair) != 2 {
			continue
		}
		d := delivery{stream: stream, id: text(pair[0]), term: t}
		fields, _ := pair[1].([]any)
		if fields == nil { // It was deleted from the stream while it was pending.
			sub.acks.settle(d, true)
			continue
		}
		if !wanted(types, fields) {
			sub.acks.settle(d, true)
			continue
		}
		msg, err := decodeMessage(fields)
		if err != nil {
			msg = malformed(stream, d.id, fields, err)
		}
		if err := sub.lanes.Push(ctx, sub.of.cfg.Key(msg), msg, d); err != nil {
			return err
		}
	}
	return nil
}

func entryID(entry any) string {
	if pair, _ := entry.([]any); len(pair) > 0 {
		return text(pair[0])
	}
	return ""
}

// compareIDs compares two ids of a stream. Of two numbers without leading zeros
// the longer one is the larger.
func compareIDs(a, b string) int {
	a1, a2, _ := strings.Cut(a, "-")
	b1, b2, _ := strings.Cut(b, "-")
	return cmp.Or(cmp.Compare(len(a1), len(b1)), cmp.Compare(a1, b1), cmp.Compare(len(a2), len(b2)), cmp.Compare(a2, b2))
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
