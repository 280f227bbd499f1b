package main

import (
	"context"
	"slices"
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
func (s *space) addRaw(ctx context.Context, stream string, msgs []*message.Message) float64 {
	entries := make([]*redis.XAddArgs, len(msgs))
	for i, msg := range msgs {
		values := get(redisstream.DefaultMarshallerUnmarshaller{}.Marshal(stream, msg))
		entries[i] = &redis.XAddArgs{Stream: stream, Values: values}
	}
	started := time.Now()
	s.addEntries(ctx, entries)
	return perSecond(len(msgs), time.Since(started))
}

func (s *space) addEntries(ctx context.Context, entries []*redis.XAddArgs) {
	for batch := range slices.Chunk(entries, rawBatch) {
		get(s.redisClient().Pipelined(ctx, func(pipe redis.Pipeliner) error {
			for _, e := range batch {
				pipe.XAdd(ctx, e)
			}
			return nil
		}))
	}
}

// holds checks that a stream has n entries, and removes it.
func (s *space) holds(ctx context.Context, stream string, n int) {
	if got := get(s.redisClient().XLen(ctx, stream).Result()); got != int64(n) {
		check(events.Errorf(events.CodeInternal, "%d messages were confirmed and %d are in the stream", n, got))
	}
	check(s.redisClient().Unlink(ctx, stream).Err())
}

// consumeStream is the limit of consuming a stream: reads of 256, each acknowledged at
// once.
func (s *space) consumeStream(ctx context.Context, stream string, m *meter) float64 {
	client := s.redisClient()
	check(client.XGroupCreate(ctx, stream, rawGroup, "0").Err())
	for m.count.Load() < int64(m.n) {
		read := get(client.XReadGroup(ctx, &redis.XReadGroupArgs{
			Group: rawGroup, Consumer: "raw", Streams: []string{stream, ">"}, Count: rawBatch, Block: patience,
		}).Result())
		ids := make([]string, 0, rawBatch)
		for _, e := range read[0].Messages {
			id, _ := e.Values[redisstream.UUIDHeaderKey].(string)
			m.markID(id)
			ids = append(ids, e.ID)
		}
		check(client.XAck(ctx, stream, rawGroup, ids...).Err())
	}
	return m.wait(ctx)
}
