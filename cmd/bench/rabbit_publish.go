package main

import (
	"context"
	"math"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	wamqp "github.com/ThreeDotsLabs/watermill-amqp/v2/pkg/amqp"
	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/pitwheel/pitwheel/events"
)

// publishBatch is how many messages one call of Publish carries where a row
// publishes in batches.
const publishBatch = 256

// rabbitPublish publishes to the exchange of events with one queue bound to it.
// Its figures are: from one goroutine, and from sixteen.
func rabbitPublish(queueType string) func(context.Context, *space) (contest, error) {
	return func(ctx context.Context, s *space) (contest, error) {
		app, err := s.openOn(ctx, rabbitMQ, queueType, 0)
		if err != nil {
			return nil, err
		}
		queue, err := s.bound("all", queueType)
		if err != nil {
			return nil, err
		}
		n := s.count(30_000, 3_000)
		msgs := standard(n).messages()
		raw := publishings(msgs)
		single, some := msgs[:n/40], msgs[:n/8] // Plain Watermill would take too long with all.
		arrived := func(n int) error { return s.arrived(queue, n) }
		return contest{
			limit: {{"", func(ctx context.Context) ([]float64, error) {
				v, err := s.publishRaw(ctx, raw)
				if err == nil {
					err = arrived(n)
				}
				return []float64{v, v}, err
			}}},
			plain: {
				{"1 goroutine", func(context.Context) ([]float64, error) {
					v, err := s.plainPublishRabbit(queue, queueType, single, 1)
					if err == nil {
						err = arrived(len(single))
					}
					return []float64{v, math.NaN()}, err
				}},
				{"16 goroutines and a pool", func(context.Context) ([]float64, error) {
					v, err := s.plainPublishRabbit(queue, queueType, some, 16)
					if err == nil {
						err = arrived(len(some))
					}
					return []float64{math.NaN(), v}, err
				}},
			},
			pitwheel: {{"", func(context.Context) ([]float64, error) {
				out := make([]float64, 2)
				for i, goroutines := range []int{1, 16} {
					if out[i], err = publishAll(app.transport.Publisher(), topic, msgs, goroutines, publishBatch/min(goroutines, 4)); err != nil {
						return nil, err
					}
					if err := arrived(n); err != nil {
						return nil, err
					}
				}
				return out, nil
			}}},
		}, nil
	}
}

// arrived checks that a queue holds n messages, and empties it.
func (s *space) arrived(queue string, n int) error {
	ch, err := s.channel()
	if err != nil {
		return err
	}
	defer func() { _ = ch.Close() }()
	got, err := ch.QueuePurge(queue, false)
	if err == nil && got != n {
		err = events.Errorf(events.CodeInternal, "%d messages were confirmed and %d are in the queue", n, got)
	}
	return err
}

// publishAll publishes from a number of goroutines, several messages a call, and
// returns how many a second were confirmed.
func publishAll(p message.Publisher, to string, msgs []*message.Message, goroutines, batch int) (float64, error) {
	var all sync.WaitGroup
	errs := make(chan error, goroutines)
	started := time.Now()
	for g := range goroutines {
		mine := msgs[g*len(msgs)/goroutines : (g+1)*len(msgs)/goroutines]
		all.Go(func() {
			for len(mine) > 0 {
				next := mine[:min(batch, len(mine))]
				if err := p.Publish(to, next...); err != nil {
					errs <- err
					return
				}
				mine = mine[len(next):]
			}
		})
	}
	all.Wait()
	took := time.Since(started)
	select {
	case err := <-errs:
		return 0, err
	default:
		return perSecond(len(msgs), took), nil
	}
}

// plainPublishRabbit publishes with confirms, one message a call; sixteen
// goroutines share a pool of as many channels.
func (s *space) plainPublishRabbit(queue, queueType string, msgs []*message.Message, goroutines int) (float64, error) {
	c := s.plainAMQP(queueType)
	c.Publish.ConfirmDelivery = true
	if goroutines > 1 {
		c.Publish.ChannelPoolSize = goroutines
	}
	p, err := wamqp.NewPublisher(c, watermill.NopLogger{})
	if err != nil {
		return 0, err
	}
	defer func() { _ = p.Close() }()
	return publishAll(p, queue, msgs, goroutines, 1)
}
