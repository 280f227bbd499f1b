package streams

import (
	"sync"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/redis/go-redis/v9"

	"github.com/pitwheel/pitwheel/events"
)

const (
	maxPublishes = 64 // in one pipeline, of up to maxPublish messages
	maxPublish   = 512
	maxBytes     = 1 << 20 // and maxBytes each
)

// Publisher returns a publisher to topics, each of them a stream. The messages of one
// Publish are added in order, up to 512 and a megabyte of them as one, in pipelines with
// what others publish at the same time. Publish returns when Redis has confirmed all of
// them; it honours the context of the first message. After an error some of them may be
// published, the first ones.
//
// A command (topic {aggregate}.commands) whose type no queue was ever bound to is an
// error with the code UNHANDLED, and nothing is published. What is published to another
// topic that no queue is bound to, and no other group reads, is not kept.
func (t *Transport) Publisher() message.Publisher { return &publisher{transport: t, checked: true} }

// QueuePublisher returns a publisher straight into queues: its topic is a queue's name,
// and only the subscribers of that queue receive the message.
func (t *Transport) QueuePublisher() message.Publisher { return &publisher{transport: t} }

type publisher struct {
	transport *Transport
	checked   bool // whether commands of a type that no queue is bound to are refused
	mu        sync.RWMutex
	closed    bool
	running   sync.WaitGroup
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
	if wanted, err := p.wanted(topic, msgs); err != nil || !wanted {
		return err
	}
	for len(msgs) > 0 {
		n := batchSize(msgs)
		if err := p.transport.publish(topic, msgs[:n]); err != nil {
			return err
		}
		msgs = msgs[n:]
	}
	return nil
}

// wanted reports whether messages are to be added to a stream.
func (p *publisher) wanted(topic string, msgs []*message.Message) (bool, error) {
	switch {
	case !p.checked || len(msgs) == 0:
		return len(msgs) > 0, nil
	case events.IsCommandTopic(topic):
		err := p.transport.checkBindings(topic, msgs)
		return err == nil, err
	}
	return p.transport.heard(msgs[0].Context(), topic)
}

// batchSize returns how many of some messages are published as one, which Redis and its
// scripts hold in memory as a whole.
func batchSize(msgs []*message.Message) int {
	n, bytes := 1, len(msgs[0].Payload)
	for n < min(len(msgs), maxPublish) {
		if bytes += len(msgs[n].Payload); bytes > maxBytes {
			break
		}
		n++
	}
	return n
}

// Close waits for running publishes and refuses new ones. The transport stays open.
func (p *publisher) Close() error {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.running.Wait()
	return nil
}

// publish adds messages to a stream, all of them or none: as commands of their own, some
// could be refused and others not, and be added behind these when they are repeated.
func (t *Transport) publish(topic string, msgs []*message.Message) error {
	ctx, stream := msgs[0].Context(), t.streamKey(topic)
	var args []any
	if len(msgs) == 1 {
		args = appendMessage(append(make([]any, 0, 9), "xadd", stream, "*"), msgs[0])
	} else {
		args = t.scripts.publish.Append(make([]any, 0, 4+3*len(msgs)), stream)
		for _, msg := range msgs {
			args = append(args, msg.Metadata[events.MetaType], encodeMeta(msg), []byte(msg.Payload))
		}
	}
	cmd := redis.NewCmd(ctx, args...)
	if err := t.publishes.Send(ctx, cmd); err != nil {
		return err
	}
	return t.conn.Explain(cmd.Err())
}
