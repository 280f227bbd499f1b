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

// declareRaw declares a queue of the raw client's.
func (s *space) declareRaw(name, queueType string) string {
	queue := s.queue(name)
	s.onChannel(func(ch *amqp.Channel) {
		get(ch.QueueDeclare(queue, true, false, false, false, amqp.Table{amqp.QueueTypeArg: queueType}))
	})
	return queue
}

// bound declares a queue and binds it to the exchange of events.
func (s *space) bound(name, queueType string, keys ...string) string {
	queue, exchange := s.declareRaw(name, queueType), s.exchange(topic)
	s.onChannel(func(ch *amqp.Channel) {
		check(ch.ExchangeDeclare(exchange, amqp.ExchangeTopic, true, false, false, false, nil))
		for _, key := range keys {
			check(ch.QueueBind(queue, key, exchange, false, nil))
		}
	})
	return queue
}

// publishing is a message of the contract's form, which Watermill's own marshaler
// can read as well.
func publishing(msg *message.Message) amqp.Publishing {
	m := msg.Metadata
	at, _ := time.Parse(time.RFC3339, m[events.MetaTimestamp]) // We wrote it.
	p := amqp.Publishing{
		MessageId: msg.UUID, Type: m[events.MetaType], Timestamp: at, ContentType: "application/json",
		CorrelationId: m[events.MetaCorrelationID], AppId: "pitwheel", DeliveryMode: amqp.Persistent, Body: msg.Payload,
		Headers: amqp.Table{
			wamqp.DefaultMessageUUIDHeaderKey: msg.UUID,
			events.MetaAggregate:              m[events.MetaAggregate], events.MetaAggregateID: m[events.MetaAggregateID],
			events.MetaVersion: m[events.MetaVersion], events.MetaCausationID: m[events.MetaCausationID],
			events.MetaSchemaVersion: m[events.MetaSchemaVersion],
		},
	}
	if m[events.MetaLogPosition] != "" {
		for _, name := range []string{events.MetaLogPartition, events.MetaLogPosition, events.MetaLogEpoch} {
			p.Headers[name] = m[name]
		}
	}
	return p
}

func publishings(msgs []*message.Message) []amqp.Publishing {
	out := make([]amqp.Publishing, len(msgs))
	for i, m := range msgs {
		out[i] = publishing(m)
	}
	return out
}

// publishRaw publishes with pipelined confirms and returns how many messages a second were
// confirmed.
func (s *space) publishRaw(ctx context.Context, exchange, key string, msgs []amqp.Publishing) (rate float64) {
	s.onChannel(func(ch *amqp.Channel) {
		check(ch.Confirm(false))
		window := make([]*amqp.DeferredConfirmation, unconfirmed)
		started := time.Now()
		for i := range len(msgs) + unconfirmed {
			slot := i % unconfirmed
			if old := window[slot]; old != nil {
				if ok, err := old.WaitContext(ctx); err != nil || !ok {
					check(events.Errorf(events.CodeUnavailable, "RabbitMQ did not confirm a message (error: %v)", err))
				}
				window[slot] = nil
			}
			if i < len(msgs) {
				window[slot] = get(ch.PublishWithDeferredConfirm(exchange, key, false, false, msgs[i]))
			}
		}
		rate = perSecond(len(msgs), time.Since(started))
	})
	return rate
}

// arrived checks that a queue holds n messages, and empties it.
func (s *space) arrived(queue string, n int) {
	s.onChannel(func(ch *amqp.Channel) {
		if got := get(ch.QueuePurge(queue, false)); got != n {
			check(events.Errorf(events.CodeInternal, "%d messages were confirmed and %d are in queue %s", n, got, queue))
		}
	})
}

// consumeRabbit is the limit of consuming: prefetch 256, one acknowledgement for 64.
func (s *space) consumeRabbit(ctx context.Context, queue string, m *meter) (rate float64) {
	s.onChannel(func(ch *amqp.Channel) {
		check(ch.Qos(256, 0, false))
		deliveries := get(ch.ConsumeWithContext(ctx, queue, "", false, false, false, false, nil))
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
		rate = m.wait(ctx)
		select {
		case err := <-failed:
			check(err)
		default:
		}
	})
	return rate
}
