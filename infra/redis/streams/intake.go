package streams

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/redis/go-redis/v9"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/redis/conn"
)

const (
	// maxEntries bounds the entries of one read or claim.
	maxEntries = 256
	// maxBlock bounds how long a reader may not notice that its context ended.
	maxBlock = 200 * time.Millisecond
)

// intake reads the entries of some streams into the dispatcher, in one term. It reads one
// batch ahead of what it dispatches, so that Redis and this process work at the same time.
type intake struct {
	sub     *consumer
	term    *term
	streams []string
	ahead   chan batch
	ended   chan struct{} // closed when nothing is dispatched any more

	mu      sync.Mutex
	flushes []chan struct{} // of callers of flush that wait for the next round of reading
}

// batch is some entries of one stream, or a mark in between batches.
type batch struct {
	stream  string
	entries []any
	passed  chan struct{} // of a mark: closed when everything before it is dispatched
}

// read reads entries until ctx ends: first what dead consumers left, then new ones.
func (in *intake) read(ctx context.Context) {
	failed := false
	for ctx.Err() == nil {
		in.sub.retry(ctx, func() error {
			flushes := in.takeFlushes()
			err := in.readOnce(ctx, failed)
			failed = err != nil
			return in.endRound(ctx, flushes, err)
		})
	}
}

func (in *intake) readOnce(ctx context.Context, failed bool) error {
	if err := in.sub.acks.await(ctx); err != nil {
		return err
	}
	if err := in.reclaim(ctx); err != nil {
		return err
	}
	if failed {
		if err := in.readLost(ctx); err != nil {
			return err
		}
	}
	_, err := in.readGroup(ctx, maxBlock, in.streams, slices.Repeat([]string{">"}, len(in.streams)))
	return err
}

// readGroup reads entries after the given ids, and returns how many there were.
func (in *intake) readGroup(ctx context.Context, block time.Duration, streams, after []string) (int, error) {
	args := make([]any, 0, 9+2*len(streams))
	args = append(args, "xreadgroup", "group", in.sub.cfg.Queue, in.term.consumer, "count", maxEntries)
	if block > 0 {
		args = append(args, "block", block.Milliseconds())
	}
	args = append(args, "streams")
	firstKey := int8(len(args))
	for _, names := range [][]string{streams, after} {
		for _, name := range names {
			args = append(args, name)
		}
	}
	found, err := in.sub.conn.Slice(ctx, firstKey, args...)
	if err != nil && !errors.Is(err, redis.Nil) {
		return 0, in.sub.conn.Explain(err)
	}
	n := 0
	for _, stream := range found {
		pair, _ := stream.([]any)
		if len(pair) != 2 {
			continue
		}
		if entries, _ := pair[1].([]any); len(entries) > 0 {
			n += len(entries)
			in.term.setLast(conn.Text(pair[0]), conn.EntryID(entries[len(entries)-1]))
			if err := in.pass(ctx, batch{stream: conn.Text(pair[0]), entries: entries}); err != nil {
				return n, err
			}
		}
	}
	return n, nil
}

// readLost reads entries that were delivered to our consumer in a reply that was lost:
// those after the last one that we have seen of a stream.
func (in *intake) readLost(ctx context.Context) error {
	for _, stream := range in.streams {
		for {
			n, err := in.readGroup(ctx, 0, []string{stream}, []string{cmp.Or(in.term.last(stream), "0")})
			if err != nil {
				return err
			}
			if n == 0 {
				break
			}
		}
	}
	return nil
}

// pass sends a batch to dispatch.
func (in *intake) pass(ctx context.Context, b batch) error {
	select {
	case in.ahead <- b:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// dispatch pushes what was read into the dispatcher, and waits while its window is full.
// What is left when ctx ends stays pending, for another consumer.
func (in *intake) dispatch(ctx context.Context) {
	var msgs []*message.Message
	var of []delivery
	for {
		var b batch
		select {
		case b = <-in.ahead:
		case <-ctx.Done():
			return
		}
		if b.passed != nil {
			close(b.passed)
			continue
		}
		msgs, of = in.decode(ctx, b, msgs[:0], of[:0])
		in.sub.transport.inbox.Prefetch(ctx, in.sub.cfg.Handler, msgs)
		for i, msg := range msgs {
			if in.sub.dispatch.Push(ctx, in.sub.cfg.Key(msg), msg, of[i]) != nil {
				return // ctx has ended.
			}
		}
		clear(msgs)
		clear(of)
	}
}

// decode makes messages of entries, forwards marks, and acknowledges what the queue is not
// bound to.
func (in *intake) decode(ctx context.Context, b batch, msgs []*message.Message, of []delivery) ([]*message.Message, []delivery) {
	var types []string // What is published straight into the queue is for it, whatever its type.
	fromTopic := in.sub.topic != "" && b.stream == in.sub.transport.streamKey(in.sub.topic)
	if fromTopic {
		types = in.sub.cfg.Types
	}
	for _, e := range b.entries {
		pair, _ := e.([]any)
		if len(pair) != 2 {
			continue
		}
		d := delivery{stream: b.stream, id: conn.Text(pair[0]), term: in.term}
		fields, _ := pair[1].([]any)
		if fromTopic {
			if mark, ours := in.isMark(fields); mark && ours {
				in.forward(ctx, d, fields)
				continue
			} else if mark {
				in.sub.acks.add(d)
				continue
			}
		}
		// Without fields it was deleted from the stream while it was pending.
		if fields == nil || !wanted(types, fields) {
			in.sub.acks.add(d)
			continue
		}
		msg, err := decodeMessage(fields)
		if err != nil {
			msg = malformed(b.stream, d.id, fields, err)
		}
		if msg.UUID == "" {
			msg.Metadata[events.MetaEntry] = b.stream + " " + d.id
		}
		msgs, of = append(msgs, msg), append(of, d)
	}
	return msgs, of
}
