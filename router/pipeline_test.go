package router

import (
	"context"
	"log/slog"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/pitwheel/pitwheel/events"
)

// published counts what is published through it.
type published struct{ messages int }

func (p *published) Publish(_ string, msgs ...*message.Message) error {
	p.messages += len(msgs)
	return nil
}

func (*published) Close() error { return nil }

// A delivery whose context has ended is given back, whatever it fails with: its message
// is delivered again, and would then be sent to the poison queue a second time.
func TestConsumer_EndedDeliveryIsNotPoison(t *testing.T) {
	t.Parallel()
	c := events.NewCatalogue()
	if err := c.Aggregate("bench", events.EventOf[benchEvent]()); err != nil {
		t.Fatal(err)
	}
	plans, err := check(c, []Handler{On("h", func(ctx context.Context, _ Event[benchEvent]) error { return events.Permanent(ctx.Err()) })}, nil)
	if err != nil {
		t.Fatal(err)
	}
	m, _ := NewMetrics(nil)
	p, queue := plans[0], &published{}
	k := &consumer{plan: p, handler: &reactor{reaction: p.declared.(*reaction), handler: p.name, typ: p.typ()}, poisonQueue: newPoisonQueue(p, queue),
		metrics: m.handler(p.name), receiver: receiverOf(p, DefaultMaxBytes), logger: slog.New(slog.DiscardHandler)}
	process := k.process()
	for name, body := range map[string]string{
		"that fails permanently":   `{"type":"BENCHED","data":{"userId":"1","email":"e","name":"n"}}`,
		"that cannot be decoded":   `{"broken`,
		"that lacks a field":       `{"type":"BENCHED","data":{}}`,
		"whose data do not decode": `{"type":"BENCHED","data":{"userId":1,"email":"e","name":"n"}}`,
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			msg := message.NewMessage(events.NewID(), []byte(body))
			msg.SetContext(ctx)
			queue.messages = 0
			if err := process(msg); err == nil || queue.messages > 0 {
				t.Errorf("the result is %v, and %d messages are in the poison queue", err, queue.messages)
			}
		})
	}
}
