package streams

import (
	"context"
	"errors"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/redis/conn"
)

// maxCounted bounds the entries that one script looks at, as nothing else runs meanwhile.
const maxCounted = 2000

// HasQueue reports whether a queue was ever declared, so that what is published into it
// is consumed now or later.
func (t *Transport) HasQueue(ctx context.Context, name string) (bool, error) {
	return t.hasGroup(ctx, t.streamKey(name), name)
}

func (t *Transport) hasGroup(ctx context.Context, stream, name string) (bool, error) {
	groups, err := t.groups(ctx, stream)
	if err != nil {
		return false, err
	}
	for _, g := range groups {
		fields, _ := g.([]any)
		if is, _ := conn.FieldText(fields, "name"); is == name {
			return true, nil
		}
	}
	return false, nil
}

// groups returns what Redis knows of the groups of a stream; none if there is no stream.
func (t *Transport) groups(ctx context.Context, stream string) ([]any, error) {
	reply, err := t.conn.Do(ctx, "xinfo", "groups", stream)
	if err != nil {
		if isGone(err) {
			return nil, nil
		}
		return nil, err
	}
	groups, _ := reply.([]any)
	return groups, nil
}

// feeds returns the streams that feed a queue: the topic's, unless it has none, and its own.
func (t *Transport) feeds(topic, queue string) []string {
	own := t.streamKey(queue)
	if topic == "" || topic == queue {
		return []string{own}
	}
	return []string{t.streamKey(topic), own}
}

// QueueDepth returns how many messages wait in a queue that no consumer has received: those
// of the topic that the queue is bound to, and those that were published straight into it.
// Delayed ones are not among them. exists is false unless the queue is declared on both
// streams. The messages are counted one by one, some thousand in a round trip: the number
// that Redis itself keeps is of all types, and is lost when entries are deleted.
func (t *Transport) QueueDepth(ctx context.Context, topic, queue string) (n int, exists bool, err error) {
	feeds := t.feeds(topic, queue)
	for i, stream := range feeds {
		var types []string // On its own stream, a queue receives every type.
		if i < len(feeds)-1 {
			if types, err = t.typesOf(ctx, topic, queue); err != nil {
				return 0, false, err
			}
		}
		waiting, exists, err := t.depth(ctx, stream, queue, types)
		if err != nil || !exists {
			return 0, false, err
		}
		n += waiting
	}
	return n, true, nil
}

// Unacknowledged returns how many messages of a queue consumers have received and not
// acknowledged: what those have left that are gone waits with them until one is taken over.
func (t *Transport) Unacknowledged(ctx context.Context, topic, queue string) (int, error) {
	n := 0
	for _, stream := range t.feeds(topic, queue) {
		reply, err := t.conn.Do(ctx, "xpending", stream, queue)
		if err != nil && (strings.Contains(err.Error(), "NOGROUP") || strings.Contains(err.Error(), "no such key")) {
			continue
		}
		if err != nil {
			return 0, err
		}
		if parts, _ := reply.([]any); len(parts) > 0 {
			pending, _ := parts[0].(int64)
			n += int(pending)
		}
	}
	return n, nil
}

// typesOf returns the types of a topic that a queue receives: none for all of them.
func (t *Transport) typesOf(ctx context.Context, topic, queue string) ([]string, error) {
	reply, err := t.conn.Do(ctx, "hget", t.queuesKey(topic), queue)
	if errors.Is(err, redis.Nil) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return decodeTypes(topic, conn.Text(reply))
}

// depth counts the entries of a stream that a group has not received, of some types.
func (t *Transport) depth(ctx context.Context, stream, group string, types []string) (n int, exists bool, err error) {
	args := []any{group, "", maxCounted, markPrefix}
	for _, kind := range types {
		args = append(args, kind)
	}
	for {
		reply, err := t.conn.Run(ctx, t.scripts.depth, []string{stream}, args...)
		if err != nil {
			return 0, false, err
		}
		found, _ := reply.([]any)
		if len(found) != 2 {
			return n, len(found) > 0, nil // There is no such group.
		}
		counted, ok := found[0].(int64)
		if !ok {
			return 0, false, events.Errorf(events.CodeInternal, "depth.lua replied %v", reply)
		}
		n += int(counted)
		last := conn.Text(found[1])
		if last == "" {
			return n, true, nil
		}
		args[1] = last
	}
}
