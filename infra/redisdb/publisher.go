package redisdb

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/redis/go-redis/v9"

	"github.com/pitwheel/pitwheel/events"
)

// Publisher returns a publisher to topics, each of them a stream. The messages of
// one Publish are added in order, up to 512 and a megabyte of them as one, together
// with what others publish at the same time. Publish returns when Redis has confirmed
// them all; it honours the context of the first message. After an error some of them
// may be published, the first ones.
//
// A command (topic {aggregate}.commands) whose type no queue was ever bound to is
// an error with the code UNHANDLED, and nothing is published.
func (s *Store) Publisher() message.Publisher { return &publisher{store: s, checked: true} }

// QueuePublisher returns a publisher straight into queues: its topic is a queue's
// name, and only the subscribers of that queue receive the message.
func (s *Store) QueuePublisher() message.Publisher { return &publisher{store: s} }

type publisher struct {
	store   *Store
	checked bool // whether commands must have somebody who handles them
	mu      sync.RWMutex
	closed  bool
	running sync.WaitGroup
}

func (p *publisher) Publish(topic string, msgs ...*message.Message) error {
	p.mu.RLock()
	if p.closed {
		p.mu.RUnlock()
		return events.Errorf(events.CodeShuttingDown, "the publisher is closed")
	}
	p.running.Add(1)
	p.mu.RUnlock()
	defer p.running.Done()
	if p.checked && events.IsCommandTopic(topic) {
		if err := p.store.mustBeBound(topic, msgs); err != nil {
			return err
		}
	}
	for len(msgs) > 0 {
		n := atOnce(msgs)
		if err := p.store.post(topic, msgs[:n]); err != nil {
			return err
		}
		msgs = msgs[n:]
	}
	return nil
}

// atOnce returns how many of some messages are posted as one, which Redis and its
// scripts hold in memory as a whole.
func atOnce(msgs []*message.Message) int {
	n, bytes := 1, len(msgs[0].Payload)
	for n < min(len(msgs), postSize) {
		if bytes += len(msgs[n].Payload); bytes > postBytes {
			break
		}
		n++
	}
	return n
}

// Close waits for running publishes and refuses new ones. The store stays open.
func (p *publisher) Close() error {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.running.Wait()
	return nil
}

// post adds messages to a stream, all of them or none: as commands of their own some
// could be refused and others not, and be added behind these when they are repeated.
func (s *Store) post(topic string, msgs []*message.Message) error {
	ctx, stream := msgs[0].Context(), s.streamKey(topic)
	var args []any
	if len(msgs) == 1 {
		args = appendMessage(append(make([]any, 0, 9), "xadd", stream, "*"), msgs[0])
	} else {
		args = append(make([]any, 0, 4+3*len(msgs)), "evalsha", s.scripts.post.Hash(), 1, stream)
		for _, msg := range msgs {
			args = append(args, msg.Metadata[events.MetaType], encodeMeta(msg), []byte(msg.Payload))
		}
	}
	cmd := redis.NewCmd(ctx, args...)
	if err := send(ctx, s.posts, cmd); err != nil {
		return err
	}
	return s.link.explain(cmd.Err())
}

// bindings remembers for a while which types of a topic somebody has bound.
type bindings struct {
	mu    sync.RWMutex
	known map[[2]string]time.Time // topic and type → when it was seen
}

// bindingsTrust is how long a binding that was seen is taken to be there still.
const bindingsTrust = 10 * time.Second

// anyType in a topic's bindings says that some queue takes every type.
const anyType = "*"

// mustBeBound returns an error with the code UNHANDLED if a message is of a type
// that no queue of the topic takes.
func (s *Store) mustBeBound(topic string, msgs []*message.Message) error {
	for _, msg := range msgs {
		kind := msg.Metadata[events.MetaType]
		if s.bindings.recent(topic, kind) {
			continue
		}
		reply, err := s.do(msg.Context(), "smismember", s.bindingsKey(topic), kind, anyType)
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
		s.bindings.saw(topic, kind)
	}
	return nil
}

func (b *bindings) recent(topic, kind string) bool {
	b.mu.RLock()
	defer b.mu.RUnlock()
	at, ok := b.known[[2]string{topic, kind}]
	return ok && time.Since(at) < bindingsTrust
}

func (b *bindings) saw(topic, kind string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.known == nil {
		b.known = map[[2]string]time.Time{}
	}
	b.known[[2]string{topic, kind}] = time.Now()
}

// bind makes the consumer group of a queue on a stream, and lets publishers know
// which types it takes. Doing so again changes nothing.
func (s *Store) bind(ctx context.Context, topic, stream, queue string, types []string) error {
	_, err := s.do(ctx, "xgroup", "create", stream, queue, "0", "mkstream")
	if err != nil && !strings.Contains(err.Error(), "BUSYGROUP") {
		return err
	}
	if topic == "" {
		return nil
	}
	args := []any{"sadd", s.bindingsKey(topic)}
	for _, kind := range types {
		args = append(args, kind)
	}
	if len(types) == 0 {
		args = append(args, anyType)
	}
	_, err = s.do(ctx, args...)
	return err
}
