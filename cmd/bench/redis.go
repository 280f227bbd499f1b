package main

import (
	"context"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/ThreeDotsLabs/watermill-redisstream/pkg/redisstream"
	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/pitwheel/pitwheel/events"
)

// The raw client of Redis: the preparation of a run, and the limit.

const (
	rawGroup = "bench"
	rawBatch = 256
)

// addRaw adds messages to a stream, in pipelines, and returns how many a second
// were added.
func (s *space) addRaw(ctx context.Context, stream string, msgs []*message.Message) (float64, error) {
	client, err := s.redisClient()
	if err != nil {
		return 0, err
	}
	entries := make([]*redis.XAddArgs, len(msgs))
	for i, msg := range msgs {
		if entries[i], err = plainEntry(stream, msg); err != nil {
			return 0, err
		}
	}
	started := time.Now()
	for len(entries) > 0 {
		batch := entries[:min(rawBatch, len(entries))]
		_, err := client.Pipelined(ctx, func(pipe redis.Pipeliner) error {
			for _, e := range batch {
				pipe.XAdd(ctx, e)
			}
			return nil
		})
		if err != nil {
			return 0, err
		}
		entries = entries[len(batch):]
	}
	return perSecond(len(msgs), time.Since(started)), nil
}

// readRaw is the limit of consuming a stream: reads of 256, each acknowledged at
// once.
func (s *space) readRaw(ctx context.Context, stream string, m *meter) (float64, error) {
	client, err := s.redisClient()
	if err != nil {
		return 0, err
	}
	if err := client.XGroupCreate(ctx, stream, rawGroup, "0").Err(); err != nil {
		return 0, err
	}
	for m.count.Load() < int64(m.n) {
		read, err := client.XReadGroup(ctx, &redis.XReadGroupArgs{
			Group: rawGroup, Consumer: "raw", Streams: []string{stream, ">"}, Count: rawBatch, Block: patience,
		}).Result()
		if err != nil {
			return 0, err
		}
		ids := make([]string, 0, rawBatch)
		for _, e := range read[0].Messages {
			id, _ := e.Values[redisstream.UUIDHeaderKey].(string)
			m.markID(id)
			ids = append(ids, e.ID)
		}
		if err := client.XAck(ctx, stream, rawGroup, ids...).Err(); err != nil {
			return 0, err
		}
	}
	return m.wait(ctx)
}

// redisConsume fills a stream for each contestant.
func redisConsume(of func(*bench) consuming) func(context.Context, *space) (contest, error) {
	return func(ctx context.Context, s *space) (contest, error) {
		c := of(s.bench)
		msgs := c.load.messages()
		raw, single, sixteen := s.key("raw"), s.key("plain1"), s.key("plain16")
		for stream, n := range map[string]int{raw: c.load.n, single: c.few, sixteen: c.some} {
			if _, err := s.addRaw(ctx, stream, msgs[:n]); err != nil {
				return nil, err
			}
		}
		app, err := s.openOn(ctx, redisDB, "", 0)
		if err != nil {
			return nil, err
		}
		if err := app.declare("bench"); err != nil {
			return nil, err
		}
		if _, err := publishAll(app.transport.Publisher(), topic, msgs, 1, publishBatch); err != nil {
			return nil, err
		}
		contest := contest{
			plain: {
				{"1 subscriber", one(func(ctx context.Context) (float64, error) { return s.plainRedis(ctx, c, single, 1, c.few) })},
				{"16 subscribers", one(func(ctx context.Context) (float64, error) { return s.plainRedis(ctx, c, sixteen, 16, c.some) })},
			},
			pitwheel: {{"", one(func(ctx context.Context) (float64, error) { return app.consume(ctx, c) })}},
		}
		if c.wait == 0 {
			contest[limit] = []contestant{{"", one(func(ctx context.Context) (float64, error) {
				return s.readRaw(ctx, raw, newMeter(c.load.n, c.load.n))
			})}}
		}
		return contest, nil
	}
}

func (s *space) plainRedis(ctx context.Context, c consuming, stream string, subscribers, n int) (float64, error) {
	subs, err := s.plainFromRedis(subscribers, "plain")
	if err != nil {
		return 0, err
	}
	m := newMeter(n, c.load.n)
	return plainConsumer{subscribers: subs, topic: stream, handle: plainReaction(m, c.wait)}.run(ctx, m)
}

// redisPublish publishes to a stream: the raw client and Pitwheel in batches,
// Watermill as it does.
func redisPublish(ctx context.Context, s *space) (contest, error) {
	app, err := s.openOn(ctx, redisDB, "", 0)
	if err != nil {
		return nil, err
	}
	n := s.count(200_000, 30_000)
	msgs := standard(n).messages()
	client, err := s.redisClient()
	if err != nil {
		return nil, err
	}
	p, err := redisstream.NewPublisher(redisstream.PublisherConfig{Client: client}, nil)
	if err != nil {
		return nil, err
	}
	plainly := func(goroutines, n int) func(context.Context) ([]float64, error) {
		return one(func(ctx context.Context) (float64, error) {
			stream := s.key("plain")
			rate, err := publishAll(p, stream, msgs[:n], goroutines, 1)
			if err == nil {
				err = s.holds(ctx, stream, n)
			}
			return rate, err
		})
	}
	return contest{
		limit: {{"", one(func(ctx context.Context) (float64, error) {
			rate, err := s.addRaw(ctx, s.key("raw"), msgs)
			if err == nil {
				err = s.holds(ctx, s.key("raw"), n)
			}
			return rate, err
		})}},
		plain: {{"1 goroutine", plainly(1, n/20)}, {"16 goroutines", plainly(16, n/5)}},
		pitwheel: {{"", one(func(context.Context) (float64, error) {
			return publishAll(app.transport.Publisher(), topic, msgs, 1, publishBatch)
		})}},
	}, nil
}

// holds checks that a stream has n entries, and removes it.
func (s *space) holds(ctx context.Context, stream string, n int) error {
	got, err := s.raw.XLen(ctx, stream).Result()
	if err == nil && got != int64(n) {
		err = events.Errorf(events.CodeInternal, "%d messages were confirmed and %d are in the stream", n, got)
	}
	if err != nil {
		return err
	}
	return s.raw.Unlink(ctx, stream).Err()
}
