package streams

import (
	"context"
	_ "embed" // scripts
	"errors"
	"strings"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/redis/go-redis/v9"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/redis/conn"
	"github.com/pitwheel/pitwheel/router"
)

//go:embed unbind.lua
var unbindLua string

const (
	// moveBatch is how many entries are moved at once.
	moveBatch = 256
)

var _ router.QueueAdmin = (*Transport)(nil)

// Unbind is as in [router.QueueAdmin]. A queue that receives no more types of a topic has no
// group on its stream any more, which would keep the stream from being trimmed.
func (t *Transport) Unbind(ctx context.Context, topic, queue string, types ...string) error {
	args := []any{queue}
	for _, kind := range types {
		args = append(args, kind)
	}
	left, err := t.conn.Run(ctx, conn.NewScript(unbindLua), []string{t.queuesKey(topic)}, args...)
	if err != nil {
		return err
	}
	t.bindings.forget(topic)
	if left == int64(0) && topic != queue {
		return t.destroyGroup(ctx, t.streamKey(topic), queue)
	}
	return nil
}

func (t *Transport) destroyGroup(ctx context.Context, stream, queue string) error {
	_, err := t.conn.Do(ctx, "xgroup", "destroy", stream, queue)
	if isGone(err) {
		return nil
	}
	return err
}

// isGone reports whether a command failed as its stream or group does not exist.
func isGone(err error) bool {
	return err != nil && (strings.Contains(err.Error(), "NOGROUP") || strings.Contains(err.Error(), "no such key") || strings.Contains(err.Error(), "requires the key to exist"))
}

// MoveQueue is as in [router.QueueAdmin].
func (t *Transport) MoveQueue(ctx context.Context, from router.Subscription, to string) (int, error) {
	moved, mover := 0, events.NewID()
	for stream, types := range t.sources(from) {
		n, err := t.moveStream(ctx, stream, from.Queue, mover, types, to)
		moved += n
		if err != nil && !isGone(err) {
			return moved, err
		}
	}
	n, err := t.moveDelayed(ctx, from.Queue, to)
	if moved += n; err != nil || from.Topic == "" {
		return moved, err
	}
	return moved, t.Unbind(ctx, from.Topic, from.Queue, from.Types...)
}

// sources returns the streams that feed a queue, each with the types that it receives from
// it; nil: all.
func (t *Transport) sources(of router.Subscription) map[string][]string {
	out := map[string][]string{t.streamKey(of.Queue): nil}
	if of.Topic != "" {
		out[t.streamKey(of.Topic)] = of.Types
	}
	return out
}

// CountQueue is as in [router.QueueAdmin].
func (t *Transport) CountQueue(ctx context.Context, of router.Subscription) (int, error) {
	sum := 0
	for stream, types := range t.sources(of) {
		n, err := t.countStream(ctx, stream, of.Queue, types)
		if err != nil && !isGone(err) {
			return 0, err
		}
		sum += n
	}
	delayed, err := t.conn.Do(ctx, "zcard", t.delayedKey(of.Queue))
	n, _ := delayed.(int64)
	return sum + int(n), err
}

// countStream counts what a group has not acknowledged, and what it has not read.
func (t *Transport) countStream(ctx context.Context, stream, group string, types []string) (int, error) {
	reply, err := t.conn.Do(ctx, "xinfo", "groups", stream)
	if err != nil {
		return 0, err
	}
	groups, _ := reply.([]any)
	for _, g := range groups {
		fields, _ := g.([]any)
		if name, _ := conn.FieldText(fields, "name"); name != group {
			continue
		}
		pending, _ := conn.Field(fields, "pending")
		n, _ := pending.(int64)
		last, _ := conn.FieldText(fields, "last-delivered-id")
		unread, err := t.countAfter(ctx, stream, last, types)
		return int(n) + unread, err
	}
	return 0, nil
}

// countAfter counts the entries of a stream after an id that are of some types.
func (t *Transport) countAfter(ctx context.Context, stream, last string, types []string) (n int, err error) {
	for {
		reply, err := t.conn.Do(ctx, "xrange", stream, "("+last, "+", "count", moveBatch)
		entries, _ := reply.([]any)
		if err != nil || len(entries) == 0 {
			return n, err
		}
		for _, e := range entries {
			pair, _ := e.([]any)
			if len(pair) != 2 {
				continue
			}
			last = conn.Text(pair[0])
			if fields, _ := pair[1].([]any); wanted(types, fields) {
				n++
			}
		}
	}
}

// moveStream moves what a group has not acknowledged yet, and then what it has not read.
func (t *Transport) moveStream(ctx context.Context, stream, group, mover string, types []string, to string) (int, error) {
	moved := 0
	for {
		reply, err := t.conn.Do(ctx, "xautoclaim", stream, group, mover, 0, "0-0", "count", moveBatch)
		if err != nil {
			return moved, err
		}
		parts, _ := reply.([]any)
		if len(parts) < 2 {
			return moved, events.Errorf(events.CodeInternal, "Redis replied %v to XAUTOCLAIM", reply)
		}
		entries, _ := parts[1].([]any)
		n, err := t.moveEntries(ctx, stream, group, entries, types, to)
		moved += n
		if err != nil {
			return moved, err
		}
		if len(entries) == 0 && (conn.Text(parts[0]) == "0-0" || conn.Text(parts[0]) == "") {
			break
		}
	}
	for {
		found, err := t.conn.Slice(ctx, 7, "xreadgroup", "group", group, mover, "count", moveBatch, "streams", stream, ">")
		if errors.Is(err, redis.Nil) || err == nil && len(found) == 0 {
			return moved, nil
		}
		if err != nil {
			return moved, t.conn.Explain(err)
		}
		pair, _ := found[0].([]any)
		if len(pair) != 2 {
			return moved, events.Errorf(events.CodeInternal, "Redis replied %v to XREADGROUP", found)
		}
		entries, _ := pair[1].([]any)
		n, err := t.moveEntries(ctx, stream, group, entries, types, to)
		moved += n
		if err != nil {
			return moved, err
		}
	}
}

// moveEntries publishes entries and acknowledges them.
func (t *Transport) moveEntries(ctx context.Context, stream, group string, entries []any, types []string, to string) (int, error) {
	var msgs []*message.Message
	acks := []any{"xack", stream, group}
	for _, e := range entries {
		pair, _ := e.([]any)
		if len(pair) != 2 {
			continue
		}
		id := conn.Text(pair[0])
		acks = append(acks, id)
		fields, _ := pair[1].([]any)
		if fields == nil || !wanted(types, fields) {
			continue
		}
		msg, err := decodeMessage(fields)
		if err != nil {
			msg = malformed(stream, id, fields, err)
		}
		msg.SetContext(ctx)
		msgs = append(msgs, msg)
	}
	if len(msgs) > 0 {
		if err := t.QueuePublisher().Publish(to, msgs...); err != nil {
			return 0, err
		}
	}
	if len(acks) == 3 {
		return 0, nil
	}
	_, err := t.conn.Do(ctx, acks...)
	return len(msgs), err
}

// moveDelayed moves what is delayed; when it is due is in its metadata.
func (t *Transport) moveDelayed(ctx context.Context, queue, to string) (int, error) {
	for moved := 0; ; {
		reply, err := t.conn.Do(ctx, "zrange", t.delayedKey(queue), 0, moveBatch-1)
		packed, _ := reply.([]any)
		if err != nil || len(packed) == 0 {
			return moved, err
		}
		args := []any{"zrem", t.delayedKey(queue)}
		var msgs []*message.Message
		for _, p := range packed {
			msg, err := Unpack(conn.Text(p))
			if err != nil {
				return moved, err
			}
			msg.SetContext(ctx)
			msgs, args = append(msgs, msg), append(args, p)
		}
		if err := t.Delay(ctx, to, time.Second, msgs...); err != nil {
			return moved, err
		}
		if _, err := t.conn.Do(ctx, args...); err != nil {
			return moved, err
		}
		moved += len(msgs)
	}
}

// DeleteQueue is as in [router.QueueAdmin]. An instance that was killed counts as consuming
// the queue for 4 s. A command that another process sends within ten seconds may still be
// accepted, and is then not handled.
func (t *Transport) DeleteQueue(ctx context.Context, topic, queue string) error {
	for _, stream := range t.feeds(topic, queue) {
		if err := t.checkUnused(ctx, stream, queue); err != nil {
			return err
		}
	}
	if topic != "" && topic != queue {
		if err := t.destroyGroup(ctx, t.streamKey(topic), queue); err != nil {
			return err
		}
		if err := t.unbindAll(ctx, topic, queue); err != nil {
			return err
		}
	}
	for _, key := range []string{t.streamKey(queue), t.delayedKey(queue), t.streamKey(events.PoisonQueue(queue))} {
		if _, err := t.conn.Do(ctx, "unlink", key); err != nil {
			return err
		}
	}
	return nil
}

// checkUnused returns an error if a consumer of a group is alive.
func (t *Transport) checkUnused(ctx context.Context, stream, queue string) error {
	reply, err := t.conn.Do(ctx, "xinfo", "consumers", stream, queue)
	if isGone(err) {
		return nil
	}
	if err != nil {
		return err
	}
	consumers, _ := reply.([]any)
	for _, c := range consumers {
		fields, _ := c.([]any)
		name, _ := conn.FieldText(fields, "name")
		sign, err := t.conn.Do(ctx, "get", t.aliveKey(name))
		if errors.Is(err, redis.Nil) || err == nil && sign == leftMark {
			continue
		}
		if err != nil {
			return err
		}
		return events.Errorf(events.CodeConfig, "queue %s is in use: an instance of its handler consumes it", queue).
			WithHint("stop the processes that run the handler; one that was killed is forgotten after 4 s")
	}
	return nil
}

// unbindAll removes all bindings of a queue to a topic.
func (t *Transport) unbindAll(ctx context.Context, topic, queue string) error {
	if _, err := t.conn.Do(ctx, "hdel", t.queuesKey(topic), queue); err != nil {
		return err
	}
	t.bindings.forget(topic)
	return nil
}
