package redisdb

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/redis/go-redis/v9"

	"github.com/pitwheel/pitwheel/events"
)

// entriesAtOnce bounds the entries of one read or claim.
const entriesAtOnce = 256

// intake brings the entries of some streams into the lanes, in one term. It reads
// one batch ahead of what it hands on, so that Redis and this process work at the
// same time.
type intake struct {
	sub     *subscription
	term    *term
	streams []string
	ahead   chan batch
}

// batch is some entries of one stream.
type batch struct {
	stream  string
	entries []any
}

// read reads entries until ctx is over: first what dead consumers left, then new
// ones. Errors are waited out.
func (in *intake) read(ctx context.Context) {
	failed := false
	for ctx.Err() == nil {
		in.sub.persist(ctx, func() error {
			err := in.readOnce(ctx, failed)
			failed = err != nil
			return err
		})
	}
}

func (in *intake) readOnce(ctx context.Context, failed bool) error {
	if err := in.takeOver(ctx); err != nil {
		return err
	}
	if failed {
		if err := in.readLost(ctx); err != nil {
			return err
		}
	}
	_, err := in.readGroup(ctx, longestBlock, in.streams, slices.Repeat([]string{">"}, len(in.streams)))
	return err
}

// readGroup reads entries after the given ids, and returns how many there were.
func (in *intake) readGroup(ctx context.Context, block time.Duration, streams, after []string) (int, error) {
	args := make([]any, 0, 9+2*len(streams))
	args = append(args, "xreadgroup", "group", in.sub.of.cfg.Queue, in.term.consumer, "count", entriesAtOnce)
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
	found, err := redisSlice(ctx, in.sub.store.client, firstKey, args...)
	if err != nil && !errors.Is(err, redis.Nil) {
		return 0, in.sub.store.link.explain(err)
	}
	n := 0
	for _, stream := range found {
		pair, _ := stream.([]any)
		if len(pair) != 2 {
			continue
		}
		if entries, _ := pair[1].([]any); len(entries) > 0 {
			n += len(entries)
			in.term.saw(text(pair[0]), entryID(entries[len(entries)-1]))
			if err := in.hand(ctx, text(pair[0]), entries); err != nil {
				return n, err
			}
		}
	}
	return n, nil
}

// readLost reads what a reply that never came has handed to our consumer: entries
// beyond the last one that we have seen of a stream.
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

// takeOver claims what consumers that are gone have read and not settled. Nothing
// of a stream is handed on before all of it is claimed, and so in order.
func (in *intake) takeOver(ctx context.Context) error {
	for _, stream := range in.streams {
		entries, err := in.claimAll(ctx, stream)
		if err != nil {
			return err
		}
		if len(entries) == 0 {
			continue
		}
		slices.SortFunc(entries, func(a, b any) int { return compareIDs(entryID(a), entryID(b)) })
		in.sub.of.log.InfoContext(ctx, "messages of a consumer that is gone are taken over", "stream", stream, "messages", len(entries))
		if err := in.hand(ctx, stream, entries); err != nil {
			return err
		}
	}
	return nil
}

// claimAll claims everything, each part under a name of its own: if it fails, these
// heirs are dead as well, and what they have got is claimed from them next time.
func (in *intake) claimAll(ctx context.Context, stream string) ([]any, error) {
	var all []any
	var heirs []string
	for _, gone := range in.sub.care.gone(stream) {
		for more := true; more; {
			heir := events.NewID()
			in.sub.care.adopt(heir)
			heirs = append(heirs, heir)
			reply, err := in.sub.store.run(ctx, in.sub.store.scripts.claim, []string{stream}, in.sub.of.cfg.Queue, gone, heir, entriesAtOnce)
			if err != nil {
				in.sub.care.abandon(stream, heirs)
				return nil, err
			}
			entries, _ := reply.([]any)
			all = append(all, entries...)
			if more = len(entries) > 0; !more {
				in.sub.care.disown(heir)
				heirs = heirs[:len(heirs)-1]
			}
		}
		in.sub.care.buried(stream, gone)
	}
	return all, nil
}

// hand passes entries on to take.
func (in *intake) hand(ctx context.Context, stream string, entries []any) error {
	select {
	case in.ahead <- batch{stream, entries}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// take pushes what was read into the lanes, which holds it up while their window
// is full. What it does not get to before ctx is over stays pending, for another
// consumer.
func (in *intake) take(ctx context.Context) {
	var msgs []*message.Message
	var of []delivery
	for {
		var b batch
		select {
		case b = <-in.ahead:
		case <-ctx.Done():
			return
		}
		msgs, of = in.decode(b, msgs[:0], of[:0])
		in.sub.store.foresee(ctx, in.sub.of.cfg.Handler, msgs)
		for i, msg := range msgs {
			if in.sub.lanes.Push(ctx, in.sub.of.cfg.Key(msg), msg, of[i]) != nil {
				return // It ends.
			}
		}
		clear(msgs)
		clear(of)
	}
}

// decode makes messages of entries, and settles those that are none of ours.
func (in *intake) decode(b batch, msgs []*message.Message, of []delivery) ([]*message.Message, []delivery) {
	var types []string // What is sent straight to the queue is meant for it, whatever its type.
	if in.sub.topic != "" && b.stream == in.sub.store.streamKey(in.sub.topic) {
		types = in.sub.of.cfg.Types
	}
	for _, e := range b.entries {
		pair, _ := e.([]any)
		if len(pair) != 2 {
			continue
		}
		d := delivery{stream: b.stream, id: text(pair[0]), term: in.term}
		fields, _ := pair[1].([]any)
		// Without fields it was deleted from the stream while it was pending.
		if fields == nil || !wanted(types, fields) {
			in.sub.acks.settle(d, true)
			continue
		}
		msg, err := decodeMessage(fields)
		if err != nil {
			msg = malformed(b.stream, d.id, fields, err)
		}
		msgs, of = append(msgs, msg), append(of, d)
	}
	return msgs, of
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
