// Package relay publishes the log on the event bus. The log is the outbox: there is no
// second copy of an event that could be lost.
package relay

import (
	"context"
	"log/slog"

	"github.com/ThreeDotsLabs/watermill/components/cqrs"
	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router/internal/catchup"
	"github.com/pitwheel/pitwheel/router/internal/codec"
	"github.com/pitwheel/pitwheel/router/internal/health"
	"github.com/pitwheel/pitwheel/router/internal/witness"
)

// Role is the name of the relay's role in elections and of its checkpoint.
const Role = "relay"

// batchSize is how many events of one partition are published before their
// checkpoint is saved: what may be published twice after a crash.
const batchSize = 256

// Checkpoints keeps how far the relay has read the log; see router.Checkpoints, which
// has these methods.
type Checkpoints interface {
	Checkpoint(ctx context.Context, role string) (events.Cursor, error)
	SaveCheckpoint(ctx context.Context, role string, c events.Cursor) error
}

// Relay publishes the events of the log in the order of each partition. The
// checkpoint is saved after the broker has confirmed the events, so that each is
// published at least once.
type Relay struct {
	reader      catchup.Reader
	checkpoints Checkpoints
	bus         *cqrs.EventBus
	batch       *batchPublisher
	recorder    witness.Recorder
	health      health.Health
	logger      *slog.Logger
}

// New returns a relay that publishes with the given publisher to the events topic of
// each aggregate.
func New(reader catchup.Reader, checkpoints Checkpoints, publisher message.Publisher, logger *slog.Logger) (*Relay, error) {
	batch := &batchPublisher{publisher: publisher}
	bus, err := cqrs.NewEventBusWithConfig(batch, cqrs.EventBusConfig{
		GeneratePublishTopic: func(p cqrs.GenerateEventPublishTopicParams) (string, error) {
			return events.EventTopic(p.Event.(*events.Envelope).Aggregate), nil
		},
		Marshaler: codec.Marshaler{},
	})
	if err != nil {
		return nil, err
	}
	return &Relay{reader: reader, checkpoints: checkpoints, bus: bus, batch: batch, logger: logger}, nil
}

// RecordBy has the positions of all events recorded before they are published. It is to be
// called before Run.
func (r *Relay) RecordBy(w witness.Recorder) { r.recorder = w }

// Health returns the health of the role.
func (r *Relay) Health() *health.Health { return &r.health }

// Run publishes until ctx ends. It is called while this instance holds the role, and
// not concurrently. It always returns nil: failures are retried with backoff.
func (r *Relay) Run(ctx context.Context) error {
	r.health.Run(ctx, r.logger, Role, func(ctx context.Context) error {
		cursor, err := r.checkpoints.Checkpoint(ctx, Role)
		if err != nil {
			return err
		}
		if err := r.recorder.Begin(ctx); err != nil {
			return err
		}
		cursor = cursor.Clone(r.reader.Partitions())
		return catchup.Subscribe(ctx, r.reader, cursor, batchSize, func(batch []events.Recorded) error {
			err := r.publish(ctx, batch, cursor)
			if err == nil {
				r.health.OK()
			}
			return err
		})
	})
	return nil
}

// publish publishes one batch and moves the cursor past it. A stop does not interrupt
// it, since events that were published without a checkpoint are published again.
func (r *Relay) publish(ctx context.Context, batch []events.Recorded, cursor events.Cursor) error {
	if len(batch) == 0 {
		return nil
	}
	ctx, cancel := catchup.Grace(ctx)
	defer cancel()
	defer r.batch.reset()
	recorded, err := r.recorder.Record(ctx, batch)
	if err != nil {
		return err
	}
	for i := range batch {
		if err := r.bus.Publish(ctx, &batch[i].Envelope); err != nil {
			return err
		}
	}
	if err := r.batch.flush(); err != nil {
		return err
	}
	if err := recorded(); err != nil {
		return err
	}
	catchup.Advance(cursor, batch)
	return r.checkpoints.SaveCheckpoint(ctx, Role, cursor)
}

// batchPublisher collects the messages that the event bus publishes one by one, so
// that the broker confirms a whole batch together. It is used from one goroutine.
type batchPublisher struct {
	publisher message.Publisher
	topics    []string
	messages  map[string][]*message.Message
}

// Publish keeps the messages until flush.
func (p *batchPublisher) Publish(topic string, msgs ...*message.Message) error {
	if p.messages == nil {
		p.messages = map[string][]*message.Message{}
	}
	if len(p.messages[topic]) == 0 {
		p.topics = append(p.topics, topic)
	}
	p.messages[topic] = append(p.messages[topic], msgs...)
	return nil
}

func (p *batchPublisher) flush() error {
	for _, topic := range p.topics {
		if err := p.publisher.Publish(topic, p.messages[topic]...); err != nil {
			return err
		}
	}
	return nil
}

func (p *batchPublisher) reset() {
	for topic, msgs := range p.messages {
		clear(msgs)
		p.messages[topic] = msgs[:0]
	}
	p.topics = p.topics[:0]
}

// Close does nothing: the real publisher belongs to its owner.
func (p *batchPublisher) Close() error { return nil }
