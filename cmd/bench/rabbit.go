package main

import (
	"context"
	"time"

	wamqp "github.com/ThreeDotsLabs/watermill-amqp/v2/pkg/amqp"
	"github.com/ThreeDotsLabs/watermill/message"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/pitwheel/pitwheel/events"
)

// The raw client of RabbitMQ: the preparation of a run, and the limit.

// unconfirmed is how many unconfirmed publishes the raw client has at most.
const unconfirmed = 1024

// bound declares a queue of the raw client's and binds it to the exchange of events.
func (s *space) bound(queue, queueType string) (string, error) {
	ch, err := s.channel()
	if err != nil {
		return "", err
	}
	defer func() { _ = ch.Close() }()
	exchange, name := s.exchange(topic), s.queue(queue)
	if err := ch.ExchangeDeclare(exchange, amqp.ExchangeTopic, true, false, false, false, nil); err != nil {
		return "", err
	}
	if _, err := ch.QueueDeclare(name, true, false, false, false, amqp.Table{amqp.QueueTypeArg: queueType}); err != nil {
		return "", err
	}
	return name, ch.QueueBind(name, userType, exchange, false, nil)
}

// unbind unbinds a queue, so that it does not receive what is published next.
func (s *space) unbind(queue string) error {
	ch, err := s.channel()
	if err != nil {
		return err
	}
	defer func() { _ = ch.Close() }()
	return ch.QueueUnbind(queue, userType, s.exchange(topic), nil)
}

// publishing is a message of the contract's form, which Watermill's own marshaler
// can read as well.
func publishing(msg *message.Message) amqp.Publishing {
	m := msg.Metadata
	at, _ := time.Parse(time.RFC3339, m[events.MetaTimestamp]) // We wrote it.
	return amqp.Publishing{
		MessageId: msg.UUID, Type: m[events.MetaType], Timestamp: at, ContentType: "application/json",
		CorrelationId: m[events.MetaCorrelationID], AppId: "pitwheel", DeliveryMode: amqp.Persistent, Body: msg.Payload,
		Headers: amqp.Table{
			wamqp.DefaultMessageUUIDHeaderKey: msg.UUID,
			events.MetaAggregate:              m[events.MetaAggregate], events.MetaAggregateID: m[events.MetaAggregateID],
			events.MetaVersion: m[events.MetaVersion], events.MetaCausationID: m[events.MetaCausationID],
			events.MetaSchemaVersion: m[events.MetaSchemaVersion],
		},
	}
}

func publishings(msgs []*message.Message) []amqp.Publishing {
	out := make([]amqp.Publishing, len(msgs))
	for i, m := range msgs {
		out[i] = publishing(m)
	}
	return out
}

// publishRaw publishes to the exchange of events with pipelined confirms and
// returns how many messages a second were confirmed.
func (s *space) publishRaw(ctx context.Context, msgs []amqp.Publishing) (float64, error) {
	ch, err := s.channel()
	if err != nil {
		return 0, err
	}
	defer func() { _ = ch.Close() }()
	if err := ch.Confirm(false); err != nil {
		return 0, err
	}
	exchange := s.exchange(topic)
	window := make([]*amqp.DeferredConfirmation, unconfirmed)
	started := time.Now()
	for i := range len(msgs) + unconfirmed {
		slot := i % unconfirmed
		if old := window[slot]; old != nil {
			if ok, err := old.WaitContext(ctx); err != nil || !ok {
				return 0, events.Errorf(events.CodeUnavailable, "RabbitMQ did not confirm a message (error: %v)", err)
			}
			window[slot] = nil
		}
		if i < len(msgs) {
			if window[slot], err = ch.PublishWithDeferredConfirm(exchange, userType, false, false, msgs[i]); err != nil {
				return 0, err
			}
		}
	}
	return perSecond(len(msgs), time.Since(started)), nil
}

// fillRabbit publishes a workload into all queues that are bound.
func (s *space) fillRabbit(ctx context.Context, w workload) error {
	_, err := s.publishRaw(ctx, publishings(w.messages()))
	return err
}

// waiting returns how many messages are in a queue.
func (s *space) waiting(queue string) (int, error) {
	ch, err := s.channel()
	if err != nil {
		return 0, err
	}
	defer func() { _ = ch.Close() }()
	q, err := ch.QueueDeclarePassive(queue, true, false, false, false, nil)
	return q.Messages, err
}

// consumeRaw is the limit of consuming: prefetch 256, one acknowledgement for 64.
func (s *space) consumeRaw(ctx context.Context, queue string, m *meter) (float64, error) {
	ch, err := s.channel()
	if err != nil {
		return 0, err
	}
	defer func() { _ = ch.Close() }()
	if err := ch.Qos(256, 0, false); err != nil {
		return 0, err
	}
	deliveries, err := ch.ConsumeWithContext(ctx, queue, "", false, false, false, false, nil)
	if err != nil {
		return 0, err
	}
	failed := make(chan error, 1)
	go func() { // It ends with the channel.
		n := 0
		for d := range deliveries {
			m.markID(d.MessageId)
			if n++; n%64 == 0 || n == m.n {
				if err := d.Ack(true); err != nil {
					failed <- err
					return
				}
			}
		}
	}()
	rate, err := m.wait(ctx)
	select {
	case err := <-failed:
		return 0, err
	default:
		return rate, err
	}
}
