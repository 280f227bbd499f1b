package main

import (
	"context"
	"math"
	"slices"
	"time"

	"github.com/ThreeDotsLabs/watermill-redisstream/pkg/redisstream"
	"github.com/ThreeDotsLabs/watermill/message"
	"golang.org/x/sync/errgroup"
)

// publishBatch is how many messages one call of Publish carries where a row
// publishes in batches.
const publishBatch = 256

// publishAll publishes from a number of goroutines, several messages a call, and
// returns how many a second were confirmed.
func publishAll(p message.Publisher, to string, msgs []*message.Message, goroutines, batch int) float64 {
	var all errgroup.Group
	started := time.Now()
	for g := range goroutines {
		mine := msgs[g*len(msgs)/goroutines : (g+1)*len(msgs)/goroutines]
		all.Go(func() error {
			for next := range slices.Chunk(mine, batch) {
				if err := p.Publish(to, next...); err != nil {
					return err
				}
			}
			return nil
		})
	}
	check(all.Wait())
	return perSecond(len(msgs), time.Since(started))
}

// rabbitPublish publishes to the exchange of events with one queue bound to it.
// Its figures are: from one goroutine, and from sixteen.
func rabbitPublish(queueType string) func(context.Context, *space) contest {
	return func(ctx context.Context, s *space) contest {
		app := s.openOn(ctx, rabbitMQ, queueType, 0)
		queue := s.bound("all", queueType, userType)
		n := s.count(30_000, 3_000)
		msgs := standard(n).messages()
		raw := publishings(msgs)
		plainly := func(msgs []*message.Message, goroutines int) float64 {
			p := s.plainPublisher(queueType, goroutines)
			defer func() { _ = p.Close() }()
			rate := publishAll(p, queue, msgs, goroutines, 1)
			s.arrived(queue, len(msgs))
			return rate
		}
		return contest{
			limit: {{"", func(ctx context.Context) []float64 {
				rate := s.publishRaw(ctx, s.exchange(topic), userType, raw)
				s.arrived(queue, n)
				return []float64{rate, rate}
			}}},
			// Plain Watermill would take too long with all.
			plain: {
				{"1 goroutine", func(context.Context) []float64 { return []float64{plainly(msgs[:n/40], 1), math.NaN()} }},
				{"16 goroutines and a pool", func(context.Context) []float64 { return []float64{math.NaN(), plainly(msgs[:n/8], 16)} }},
			},
			pitwheel: growing([]int{1, 16}, func(_ context.Context, goroutines int) float64 {
				rate := publishAll(app.transport.Publisher(), topic, msgs, goroutines, publishBatch/min(goroutines, 4))
				s.arrived(queue, n)
				return rate
			}),
		}
	}
}

// redisPublish publishes to a stream: the raw client and Pitwheel in batches,
// Watermill as it does.
func redisPublish(ctx context.Context, s *space) contest {
	app := s.openOn(ctx, redisDB, "", 0)
	n := s.count(200_000, 30_000)
	msgs := standard(n).messages()
	p := get(redisstream.NewPublisher(redisstream.PublisherConfig{Client: s.redisClient()}, nil))
	plainly := func(who string, goroutines, n int) contestant {
		return named(who, func(ctx context.Context) float64 {
			rate := publishAll(p, s.key("plain"), msgs[:n], goroutines, 1)
			s.holds(ctx, s.key("plain"), n)
			return rate
		})
	}
	return contest{
		limit: only(func(ctx context.Context) float64 {
			rate := s.addRaw(ctx, s.key("raw"), msgs)
			s.holds(ctx, s.key("raw"), n)
			return rate
		}),
		plain: {plainly("1 goroutine", 1, n/20), plainly("16 goroutines", 16, n/5)},
		pitwheel: only(func(context.Context) float64 {
			return publishAll(app.transport.Publisher(), topic, msgs, 1, publishBatch)
		}),
	}
}
