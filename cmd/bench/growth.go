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

// apart measures in a space of its own, which is removed afterwards.
func (s *space) apart(measure func(*space) float64) (v float64) {
	check(s.inSpace(func(part *space) { v = measure(part) }))
	return v
}

// growingHandlers measures handled messages a second with more and more handlers on
// one event, each with a queue of its own.
func growingHandlers(_ context.Context, s *space) contest {
	return contest{pitwheel: growing(handlerCounts(), func(ctx context.Context, count int) float64 {
		return s.apart(func(part *space) float64 { return part.fanOut(ctx, count, s.count(40_000, 8_000)/count) })
	})}
}

// fanOut measures n events that each of several handlers reacts to.
func (s *space) fanOut(ctx context.Context, count, n int) float64 {
	app := s.openOn(ctx, rabbitMQ, "quorum", 0)
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
	app.fill(ctx, standard(n).messages(), queues...)
	return whileRunning(ctx, app.config(noRole, list...), m.wait)
}

// growingPartitions measures commands a second with more and more partitions.
func growingPartitions(_ context.Context, s *space) contest {
	return contest{pitwheel: growing(partitionCounts(), func(ctx context.Context, partitions int) float64 {
		return s.apart(func(part *space) float64 {
			return throughput(ctx, part, serving{partitions, queued}, s.count(10_000, 3_000))[0]
		})
	})}
}

// growingPayload measures consuming larger and larger messages, compared with the raw
// client.
func growingPayload(_ context.Context, s *space) contest {
	load := func(size int) workload {
		return workload{n: min(s.count(30_000, 6_000), s.count(120_000_000, 20_000_000)/size), keys: keys, size: size}
	}
	return contest{
		limit: growing(payloadSizes(), func(ctx context.Context, size int) float64 {
			queue := s.filled(ctx, rabbitMQ, "quorum", fmt.Sprintf("raw%d", size), load(size).messages())
			return s.consumeRabbit(ctx, queue, newMeter(load(size).n, load(size).n))
		}),
		pitwheel: growing(payloadSizes(), func(ctx context.Context, size int) float64 {
			return s.apart(func(part *space) float64 {
				app := part.openOn(ctx, rabbitMQ, "quorum", 0)
				app.fill(ctx, load(size).messages(), "bench")
				return app.consume(ctx, consuming{load: load(size)})
			})
		}),
	}
}
