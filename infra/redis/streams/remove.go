package streams

import (
	"context"
	"errors"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/redis/conn"
)

// RemoveQueue removes a queue that is not used any more: its bindings, and its consumer group
// on the topic's stream, which can then be trimmed of what that group has not acknowledged.
// What waits there for the queue is lost to it: [Transport.QueueDepth] tells how much that is.
// What was published straight into the queue, delayed, or received and not acknowledged there
// stays, and so does the queue itself: left is how many such messages there are, up to 1,000
// of those that wait. With 0 left, the queue is removed entirely.
//
// A queue that an instance consumes is an error with the code CONFIG, and one that does not
// exist with the code NOT_FOUND; then nothing is removed. A command that another process sends
// within ten seconds may still be accepted, and is then not handled. An empty topic is that of
// a queue that is bound to none.
func (t *Transport) RemoveQueue(ctx context.Context, topic, queue string) (left int, err error) {
	found := false
	for _, stream := range t.feeds(topic, queue) {
		exists, err := t.hasGroup(ctx, stream, queue)
		if err != nil {
			return 0, err
		}
		if !exists {
			continue
		}
		found = true
		if err := t.checkUnused(ctx, stream, queue); err != nil {
			return 0, err
		}
	}
	if !found {
		return 0, events.Errorf(events.CodeNotFound, "there is no queue %s: no subscriber has ever declared it on %s", queue, topic)
	}
	if topic != "" {
		if _, err := t.conn.Do(ctx, "hdel", t.queuesKey(topic), queue); err != nil {
			return 0, err
		}
	}
	if topic != "" && topic != queue {
		_, err := t.conn.Do(ctx, "xgroup", "destroy", t.streamKey(topic), queue)
		if err != nil && !isNoStream(err) {
			return 0, err
		}
	}
	reply, err := t.conn.Run(ctx, t.scripts.remove, []string{t.streamKey(queue), t.delayedKey(queue)}, queue)
	if err != nil {
		return 0, err
	}
	n, _ := reply.(int64)
	return int(n), nil
}

// checkUnused returns an error if a consumer of a group is alive.
func (t *Transport) checkUnused(ctx context.Context, stream, queue string) error {
	reply, err := t.conn.Do(ctx, "xinfo", "consumers", stream, queue)
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

// isNoStream reports whether a command was refused because its stream does not exist.
func isNoStream(err error) bool {
	return strings.Contains(err.Error(), "no such key") || strings.Contains(err.Error(), "requires the key to exist")
}
