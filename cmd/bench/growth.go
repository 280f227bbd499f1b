package main

import (
	"context"
	"fmt"

	"github.com/pitwheel/pitwheel/router"
	"github.com/pitwheel/pitwheel/router/routertest/sample"
)

// How cost grows with the number of handlers, partitions and bytes.

func handlerCounts() []int   { return []int{1, 10, 100} }
func partitionCounts() []int { return []int{1, 16, 64} }
func payloadSizes() []int    { return []int{200, 2_000, 20_000} }

// growingHandlers measures handled messages a second with more and more handlers on
// one event, each with a queue of its own.
func growingHandlers(_ context.Context, s *space) (contest, error) {
	var list []func(context.Context) (float64, error)
	for _, h := range handlerCounts() {
		list = append(list, func(ctx context.Context) (float64, error) {
			part := s.newSpace()
			rate, err := part.fanOut(ctx, h, s.count(40_000, 8_000)/h)
			if cleanErr := part.clean(); err == nil {
				err = cleanErr
			}
			return rate, err
		})
	}
	return contest{pitwheel: {{"", inTurn(list)}}}, nil
}

// fanOut measures n events that each of several handlers reacts to.
func (s *space) fanOut(ctx context.Context, count, n int) (float64, error) {
	app, err := s.openOn(ctx, rabbitMQ, "quorum", 0)
	if err != nil {
		return 0, err
	}
	m := newMeter(n*count, n*count)
	var list []router.Handler
	var queues []string
	for h := range count {
		name := fmt.Sprintf("bench-%d", h)
		queues = append(queues, name)
		list = append(list, router.On(name, func(_ context.Context, e router.Event[sample.Created]) error {
			if i := numberOf(e.ID); i >= 0 && i < n {
				m.mark(i*count + h)
			}
			return nil
		}))
	}
	if err := app.declare(queues...); err != nil {
		return 0, err
	}
	if err := s.fillRabbit(ctx, standard(n)); err != nil {
		return 0, err
	}
	stop, _, err := app.start(ctx, list, app.nothingElse)
	if err != nil {
		return 0, err
	}
	rate, err := m.wait(ctx)
	if stopErr := stop(); err == nil {
		err = stopErr
	}
	return rate, err
}

// growingPartitions measures commands a second with more and more partitions.
func growingPartitions(_ context.Context, s *space) (contest, error) {
	var list []func(context.Context) (float64, error)
	for _, p := range partitionCounts() {
		list = append(list, func(ctx context.Context) (float64, error) {
			part := s.newSpace()
			values, err := throughput(ctx, part, p, s.count(10_000, 3_000))
			if cleanErr := part.clean(); err == nil {
				err = cleanErr
			}
			if err != nil {
				return 0, err
			}
			return values[0], nil
		})
	}
	return contest{pitwheel: {{"", inTurn(list)}}}, nil
}

// growingPayload measures consuming larger and larger messages, compared with the raw
// client.
func growingPayload(_ context.Context, s *space) (contest, error) {
	var raw, ours []func(context.Context) (float64, error)
	for _, size := range payloadSizes() {
		n := min(s.count(30_000, 6_000), s.count(120_000_000, 20_000_000)/size)
		load := workload{n: n, keys: keys, size: size}
		raw = append(raw, func(ctx context.Context) (float64, error) {
			queue, err := s.bound(fmt.Sprintf("raw%d", size), "quorum")
			if err == nil {
				err = s.fillRabbit(ctx, load)
			}
			if err != nil {
				return 0, err
			}
			rate, err := s.consumeRaw(ctx, queue, newMeter(n, n))
			if unbindErr := s.unbind(queue); err == nil {
				err = unbindErr
			}
			return rate, err
		})
		ours = append(ours, func(ctx context.Context) (float64, error) {
			part := s.newSpace()
			rate, err := part.consumeOnce(ctx, consuming{queueType: "quorum", load: load})
			if cleanErr := part.clean(); err == nil {
				err = cleanErr
			}
			return rate, err
		})
	}
	return contest{limit: {{"", inTurn(raw)}}, pitwheel: {{"", inTurn(ours)}}}, nil
}

// consumeOnce fills a queue of Pitwheel's and empties it.
func (s *space) consumeOnce(ctx context.Context, c consuming) (float64, error) {
	app, err := s.openOn(ctx, rabbitMQ, c.queueType, 0)
	if err == nil {
		err = app.declare("bench")
	}
	if err == nil {
		err = s.fillRabbit(ctx, c.load)
	}
	if err != nil {
		return 0, err
	}
	return app.consume(ctx, c)
}
