package router

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/pitwheel/pitwheel/events"
)

type benchEvent struct {
	UserID string `json:"userId"`
	Email  string `json:"email"`
	Name   string `json:"name"`
}

func (benchEvent) EventType() string { return "BENCHED" }

// BenchmarkPipeline is one message through every middleware, decoding included,
// without a broker and without Watermill's router.
func BenchmarkPipeline(b *testing.B) {
	c := events.NewCatalogue()
	if err := c.Aggregate("bench", events.EventOf[benchEvent]()); err != nil {
		b.Fatal(err)
	}
	plans, err := check(c, []Handler{On("bench", func(context.Context, Event[benchEvent]) error { return nil })}, nil)
	if err != nil {
		b.Fatal(err)
	}
	m, _ := NewMetrics(nil)
	p := plans[0]
	k := &consumer{plan: p, metrics: m.handler(p.name), maxBytes: DefaultMaxBytes, logger: slog.New(slog.DiscardHandler), crew: newCrew(16)}
	defer k.crew.dismiss()
	k.handle = func(ctx context.Context, e *events.Envelope) error { return p.react(ctx, e, p.byName[e.Type]) }
	h := k.pass
	list := k.pipeline()
	for i := len(list) - 1; i >= 0; i-- {
		h = list[i](h)
	}
	e := events.Envelope{Header: events.Header{ID: events.NewID(), Type: "BENCHED", Timestamp: time.Now(), Aggregate: "bench",
		AggregateID: events.NewID(), Version: 1, CorrelationID: events.NewID(), CausationID: events.NewID(), SchemaVersion: 1},
		Data: []byte(`{"userId":"0190f3c2-0000-7000-8000-00000000ada0","email":"ada@example.com","name":"Ada Lovelace"}`)}
	original, _ := envelopeCodec{}.Marshal(&e)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			msg := message.NewMessage(original.UUID, original.Payload)
			msg.Metadata = original.Metadata
			msg.SetContext(ctx)
			if _, err := h(msg); err != nil {
				b.Error(err)
			}
		}
	})
}
