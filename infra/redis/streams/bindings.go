package streams

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/redis/conn"
)

const (
	// bindingsTTL is how long a binding that was found is taken to exist.
	bindingsTTL = 10 * time.Second
	// anyQueue stands in the cache for the type of an event: which queues receive it is
	// for them to say.
	anyQueue = ""
)

// bindings caches which types of a topic some queue receives.
type bindings struct {
	mu    sync.RWMutex
	found map[[2]string]time.Time // topic and type → when it was found
}

func (b *bindings) recent(topic, kind string) bool {
	b.mu.RLock()
	defer b.mu.RUnlock()
	at, ok := b.found[[2]string{topic, kind}]
	return ok && time.Since(at) < bindingsTTL
}

func (b *bindings) add(topic, kind string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.found == nil {
		b.found = map[[2]string]time.Time{}
	}
	b.found[[2]string{topic, kind}] = time.Now()
}

// forget forgets what was found of a topic.
func (b *bindings) forget(topic string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	maps.DeleteFunc(b.found, func(of [2]string, _ time.Time) bool { return of[0] == topic })
}

// checkBindings returns an error with the code UNHANDLED if a message is of a type that
// no queue of the topic receives.
func (t *Transport) checkBindings(topic string, msgs []*message.Message) error {
	for _, msg := range msgs {
		kind := msg.Metadata[events.MetaType]
		if t.bindings.recent(topic, kind) {
			continue
		}
		bound, err := t.bound(msg.Context(), topic)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(bound, func(types []string) bool { return len(types) == 0 || slices.Contains(types, kind) }) {
			return events.Errorf(events.CodeUnhandled, "nobody handles the command %s: no queue is bound to it on %s", kind, topic).
				WithHint("start a process that runs its handler")
		}
		t.bindings.add(topic, kind)
	}
	return nil
}

// bound returns the types of each queue that is bound to a topic; none for one that receives
// every type.
func (t *Transport) bound(ctx context.Context, topic string) ([][]string, error) {
	reply, err := t.conn.Do(ctx, "hvals", t.queuesKey(topic))
	if err != nil {
		return nil, err
	}
	values, _ := reply.([]any)
	out := make([][]string, 0, len(values))
	for _, v := range values {
		types, err := decodeTypes(topic, conn.Text(v))
		if err != nil {
			return nil, err
		}
		out = append(out, types)
	}
	return out, nil
}

func decodeTypes(topic, s string) (types []string, err error) {
	if err := json.Unmarshal([]byte(s), &types); err != nil {
		return nil, events.Errorf(events.CodeInternal, "a binding of %s is not a list of types but %q", topic, s)
	}
	return types, nil
}

// heard reports whether anybody reads a topic: a queue that is bound to it, though its group
// may be lost, or a group of somebody else. Nothing would ever trim what is published to a
// topic that nobody reads, and a queue that is bound later begins after it.
func (t *Transport) heard(ctx context.Context, topic string) (bool, error) {
	if t.bindings.recent(topic, anyQueue) {
		return true, nil
	}
	n, err := t.conn.Do(ctx, "hlen", t.queuesKey(topic))
	if err != nil {
		return false, err
	}
	if n == int64(0) {
		groups, err := t.groups(ctx, t.streamKey(topic))
		if err != nil || len(groups) == 0 {
			return false, err
		}
	}
	t.bindings.add(topic, anyQueue)
	return true, nil
}

// bind creates the consumer group of a queue on a stream, and unless topic is empty lets
// publishers know which of its types the queue receives, after that: what they publish from
// then on is in the group. It may be called again.
//
// The group of a queue that is new to a topic begins at the end of the topic's stream: what is
// in it was published for others. One that is lost and made again begins at the beginning: it
// must miss nothing that was published meanwhile, and what it has handled before is told from
// the rest by the ledger or the inbox. The queue's own stream has nothing for others. The
// caller says if the queue is not new though Redis does not know it.
func (t *Transport) bind(ctx context.Context, topic, stream, queue string, types []string, again bool) error {
	start := "0"
	if topic != "" && !again {
		known, err := t.conn.Do(ctx, "hexists", t.queuesKey(topic), queue)
		if err != nil {
			return err
		}
		if known == int64(0) {
			start = "$"
		}
	}
	_, err := t.conn.Do(ctx, "xgroup", "create", stream, queue, start, "mkstream")
	if err != nil && !strings.Contains(err.Error(), "BUSYGROUP") {
		return wrongType(err, queue, stream, "stream")
	}
	if topic == "" {
		return nil
	}
	value, _ := json.Marshal(append([]string{}, types...)) // Strings always marshal.
	_, err = t.conn.Do(ctx, "hset", t.queuesKey(topic), queue, value)
	return wrongType(err, queue, t.queuesKey(topic), "hash")
}

// wrongType gives the error about a key that holds something else than it should the code
// CONFIG. Other errors are returned as they are.
func wrongType(err error, queue, key, kind string) error {
	if err == nil || !strings.Contains(err.Error(), "WRONGTYPE") {
		return err
	}
	return events.Errorf(events.CodeConfig, "queue %s cannot be declared: the key %s in Redis is not a %s: %w", queue, key, kind, err).
		WithHint("rename or delete the key, if it belongs to something else; its queue is declared within seconds then")
}
