package router

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router/internal/codec"
	"github.com/pitwheel/pitwheel/router/internal/workerpool"
)

type benchEvent struct {
	UserID string `json:"userId"`
	Email  string `json:"email"`
	Name   string `json:"name"`
}

func (benchEvent) EventType() string { return "BENCHED" }

// BenchmarkPipeline sends one message through every stage, decoding and worker pool
// included, without a broker and without Watermill's router.
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
	k := &consumer{plan: p, handler: &reactor{reaction: p.declared.(*reaction), handler: p.name, typ: p.typ()},
		metrics: m.handler(p.name), receiver: receiverOf(p, DefaultMaxBytes), logger: slog.New(slog.DiscardHandler), workers: workerpool.New(16)}
	defer k.workers.Stop()
	process := k.process()
	h := k.workers.Middleware(func(msg *message.Message) ([]*message.Message, error) { return nil, process(msg) })
	e := events.Envelope{Header: events.Header{ID: events.NewID(), Type: "BENCHED", Timestamp: time.Now(), Aggregate: "bench",
		AggregateID: events.NewID(), Version: 1, CorrelationID: events.NewID(), CausationID: events.NewID(), SchemaVersion: 1},
		Data: []byte(`{"userId":"0190f3c2-0000-7000-8000-00000000ada0","email":"ada@example.com","name":"Ada Lovelace"}`)}
	original := codec.Encode(&e)
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
