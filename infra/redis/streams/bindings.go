package streams

import (
	"context"
	"maps"
	"strings"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/pitwheel/pitwheel/events"
)

const (
	// bindingsTTL is how long a binding that was found is taken to exist.
	bindingsTTL = 10 * time.Second
	// anyType in a topic's bindings says that some queue receives every type.
	anyType = "*"
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
		reply, err := t.conn.Do(msg.Context(), "smismember", t.bindingsKey(topic), kind, anyType)
		if err != nil {
			return err
		}
		found := false
		answers, _ := reply.([]any)
		for _, is := range answers {
			found = found || is == int64(1)
		}
		if !found {
			return events.Errorf(events.CodeUnhandled, "nobody handles the command %s: no queue is bound to it on %s", kind, topic).
				WithHint("start a process that runs its handler")
		}
		t.bindings.add(topic, kind)
	}
	return nil
}

// bind creates the consumer group of a queue on a stream, and unless topic is empty lets
// publishers know which of its types the queue receives. It may be called again.
func (t *Transport) bind(ctx context.Context, topic, stream, queue string, types []string) error {
	_, err := t.conn.Do(ctx, "xgroup", "create", stream, queue, "0", "mkstream")
	if err != nil && !strings.Contains(err.Error(), "BUSYGROUP") {
		return err
	}
	if topic == "" {
		return nil
	}
	if len(types) == 0 {
		types = []string{anyType}
	}
	args := []any{"sadd", t.bindingsKey(topic)}
	for _, kind := range types {
		// Publishers look for the type; with its queue, it is known when it can be removed.
		args = append(args, kind, queue+bindingSeparator+kind)
	}
	_, err = t.conn.Do(ctx, args...)
	return err
}
