package main

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	natsPending = 4_000  // messages published and not confirmed
	natsUnacked = 10_000 // messages delivered and not acknowledged
	natsPull    = 2_000  // messages that the consumer asks for at once
)

// natsQueue is a stream of JetStream.
type natsQueue struct {
	name   string
	conn   *nats.Conn
	js     jetstream.JetStream
	stream jetstream.Stream
	load   []event
	failed atomic.Pointer[error] // the first error of an asynchronous publish
}

func openNATS(ctx context.Context, at addresses, name string, load []event) (queue, error) {
	conn, err := nats.Connect(at.nats, nats.Timeout(3*time.Second), nats.MaxReconnects(0))
	if err != nil {
		return nil, missingError{"NATS", "NATS_URL"}
	}
	q := &natsQueue{name: name, conn: conn, load: load}
	q.js, err = jetstream.New(conn, jetstream.WithPublishAsyncMaxPending(natsPending),
		jetstream.WithPublishAsyncErrHandler(func(_ jetstream.JetStream, _ *nats.Msg, err error) { q.failed.CompareAndSwap(nil, &err) }))
	if err != nil {
		return q, err
	}
	q.stream, err = q.js.CreateStream(ctx, jetstream.StreamConfig{Name: name, Subjects: []string{name + ".>"}, Storage: jetstream.FileStorage})
	if errors.Is(err, jetstream.ErrJetStreamNotEnabled) {
		return q, missingError{"NATS with JetStream", "NATS_URL"}
	}
	return q, err
}

func (q *natsQueue) publish(ctx context.Context) error {
	for _, e := range q.load {
		if _, err := q.js.PublishAsync(q.name+".event", e.body, jetstream.WithStallWait(patience)); err != nil {
			return err
		}
	}
	select {
	case <-q.js.PublishAsyncComplete():
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := q.failed.Load(); err != nil {
		return *err
	}
	info, err := q.stream.Info(ctx)
	if err == nil && info.State.Msgs != uint64(len(q.load)) {
		err = fmt.Errorf("%d messages were confirmed and %d are in the stream", len(q.load), info.State.Msgs)
	}
	return err
}

func (q *natsQueue) consume(ctx context.Context, handle func(string)) (func() error, error) {
	consumer, err := q.stream.CreateConsumer(ctx, jetstream.ConsumerConfig{
		Durable: "bench", AckPolicy: jetstream.AckExplicitPolicy, MaxAckPending: natsUnacked,
	})
	if err != nil {
		return nil, err
	}
	consuming, err := consumer.Consume(func(msg jetstream.Msg) {
		handle(idOf(msg.Data()))
		if err := msg.Ack(); err != nil {
			q.failed.CompareAndSwap(nil, &err)
		}
	}, jetstream.PullMaxMessages(natsPull))
	if err != nil {
		return nil, err
	}
	return func() error {
		consuming.Drain()
		<-consuming.Closed()
		if err := q.failed.Load(); err != nil {
			return *err
		}
		return nil
	}, nil
}

func (q *natsQueue) remove(ctx context.Context) error {
	defer q.conn.Close()
	if q.stream == nil {
		return nil
	}
	return q.js.DeleteStream(ctx, q.name)
}
