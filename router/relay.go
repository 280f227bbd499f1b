package router

import (
	"context"
	"log/slog"

	"github.com/ThreeDotsLabs/watermill/components/cqrs"
	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/pitwheel/pitwheel/events"
)

// relayBatch is how many events of one partition are published before their
// checkpoint is saved: what may be published twice after a crash.
const relayBatch = 256

// relay publishes the log on the event bus, in the order of each partition. An
// event's checkpoint is saved after the broker has confirmed it, so that every
// event gets out at least once.
type relay struct {
	reader      LogReader
	checkpoints Checkpoints
	bus         *cqrs.EventBus
	pending     *pendingPublisher
	pulse       *pulse
	logger      *slog.Logger
}

const relayRole = "relay"

func newRelay(reader LogReader, checkpoints Checkpoints, publisher message.Publisher, logger *slog.Logger) (*relay, error) {
	pending := &pendingPublisher{publisher: publisher}
	bus, err := cqrs.NewEventBusWithConfig(pending, cqrs.EventBusConfig{
		GeneratePublishTopic: func(p cqrs.GenerateEventPublishTopicParams) (string, error) {
			return events.EventTopic(p.Event.(*events.Envelope).Aggregate), nil
		},
		Marshaler: envelopeCodec{},
	})
	if err != nil {
		return nil, err
	}
	return &relay{reader: reader, checkpoints: checkpoints, bus: bus, pending: pending, pulse: &pulse{}, logger: logger}, nil
}

// run publishes until ctx ends. It is called while this instance holds the role.
func (r *relay) run(ctx context.Context) error {
	r.pulse.keep(ctx, r.logger, relayRole, func(ctx context.Context) error {
		cursor, err := r.checkpoints.Checkpoint(ctx, relayRole)
		if err != nil {
			return err
		}
		cursor = cursor.Clone(r.reader.Partitions())
		return follow(ctx, r.reader, cursor, relayBatch, func(batch []events.Recorded) error {
			err := r.publish(ctx, batch, cursor)
			if err == nil {
				r.pulse.ok()
			}
			return err
		})
	})
	return nil
}

// publish sends one batch and moves the cursor behind it. A stop does not cut it
// short, since what was sent without its checkpoint would be sent again.
func (r *relay) publish(ctx context.Context, batch []events.Recorded, cursor events.Cursor) error {
	if len(batch) == 0 {
		return nil
	}
	ctx, cancel := finishing(ctx)
	defer cancel()
	defer r.pending.reset()
	for i := range batch {
		if err := r.bus.Publish(ctx, &batch[i].Envelope); err != nil {
			return err
		}
	}
	if err := r.pending.flush(); err != nil {
		return err
	}
	advance(cursor, batch)
	return r.checkpoints.SaveCheckpoint(ctx, relayRole, cursor)
}

// pendingPublisher collects what the event bus publishes one by one, so that a
// whole batch is confirmed together. It is used from one goroutine.
type pendingPublisher struct {
	publisher message.Publisher
	topics    []string
	messages  map[string][]*message.Message
}

// Publish keeps the messages until flush.
func (p *pendingPublisher) Publish(topic string, msgs ...*message.Message) error {
	if p.messages == nil {
		p.messages = map[string][]*message.Message{}
	}
	if len(p.messages[topic]) == 0 {
		p.topics = append(p.topics, topic)
	}
	p.messages[topic] = append(p.messages[topic], msgs...)
	return nil
}

func (p *pendingPublisher) flush() error {
	for _, topic := range p.topics {
		if err := p.publisher.Publish(topic, p.messages[topic]...); err != nil {
			return err
		}
	}
	return nil
}

func (p *pendingPublisher) reset() {
	for topic, msgs := range p.messages {
		clear(msgs)
		p.messages[topic] = msgs[:0]
	}
	p.topics = p.topics[:0]
}

// Close closes nothing: the real publisher belongs to whoever opened it.
func (p *pendingPublisher) Close() error { return nil }
