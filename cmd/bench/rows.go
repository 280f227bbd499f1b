package main

import (
	"context"
	"fmt"
	"time"
)

// rows is the table of contents: first the rows with goals for each part, then
// what happens from end to end, then how cost grows.
func rows() []row {
	both, onlyRedis := []broker{rabbitMQ, redisDB}, []broker{redisDB}
	msgs := func(name, work string, goals ...goal) []figure {
		return []figure{{name: name, work: work, unit: "msgs/s", goals: goals}}
	}
	return append([]row{
		{name: "rabbit-consume-quorum", needs: both, prepare: rabbitConsume(func(b *bench) consuming { return full(b, "quorum", 0) }),
			figures: msgs("rabbit-consume-quorum", "RabbitMQ consume, quorum queue", goal{limit, 0.8}, goal{plain, 2})},
		{name: "rabbit-consume-classic", needs: both, prepare: rabbitConsume(func(b *bench) consuming { return full(b, "classic", 0) }),
			figures: msgs("rabbit-consume-classic", "RabbitMQ consume, classic queue", goal{limit, 0.85})},
		{name: "rabbit-consume-1ms", needs: both, prepare: rabbitConsume(func(b *bench) consuming { return full(b, "quorum", time.Millisecond) }),
			figures: msgs("rabbit-consume-1ms", "RabbitMQ consume, handler waits 1 ms", goal{plain, 2})},
		{name: "redis-consume-1ms", needs: onlyRedis, prepare: redisConsume(func(b *bench) consuming { return full(b, "", time.Millisecond) }),
			figures: msgs("redis-consume-1ms", "Redis Stream consume, handler waits 1 ms", goal{plain, 3})},
		{name: "rabbit-publish-quorum", lasting: true, needs: both, prepare: rabbitPublish("quorum"), figures: publishFigures("rabbit-publish-quorum", "quorum queue")},
		{name: "rabbit-publish-classic", lasting: true, needs: both, prepare: rabbitPublish("classic"), figures: publishFigures("rabbit-publish-classic", "classic queue")},
		{name: "redis-consume", needs: onlyRedis, prepare: redisConsume(func(b *bench) consuming {
			n := b.count(200_000, 15_000)
			return consuming{load: standard(n), few: n / 10, some: n / 5}
		}), figures: msgs("redis-consume", "Redis Stream consume", goal{limit, 0.4}, goal{plain, 7})},
		{name: "redis-publish", lasting: true, needs: onlyRedis, prepare: redisPublish,
			figures: msgs("redis-publish", "Redis Stream publish, in batches", goal{limit, 0.5})},
		{name: "router", lasting: true, prepare: func(ctx context.Context, s *space) (contest, error) {
			return inProcess(s.count(300_000, 60_000))(ctx, s)
		},
			figures: msgs("router", "router, full pipeline, no broker", goal{limit, 0.65})},
		{name: "append", lasting: true, needs: onlyRedis, prepare: appends, figures: []figure{
			{name: "append", work: "append: version check, event, outcome, by 50 writers", unit: "appends/s", goals: []goal{{limit, 0.7}}}}},
		{name: "log-memory", needs: onlyRedis, prepare: logMemory, figures: []figure{
			{name: "log-memory", work: "memory of one event in the log", unit: "bytes", least: true, goals: []goal{{limit, 1.25}}}}},
		{name: "relay", needs: both, prepare: relaying, figures: msgs("relay", "relay, log to RabbitMQ, confirmed", goal{limit, 0.85})},
		{name: "projection-rebuild", lasting: true, needs: onlyRedis, prepare: rebuilding(0, 10_000, 100_000), figures: sized(10_000, 100_000)},
		{name: "load-aggregate", lasting: true, needs: onlyRedis, prepare: loading, figures: []figure{
			{name: "load-aggregate", work: "load an aggregate of 100,000 events, beside one of 10", unit: "ms", least: true, goals: []goal{{limit, 1.5}}}}},
		{name: "command-throughput", needs: both, prepare: func(_ context.Context, s *space) (contest, error) {
			n := s.count(25_000, 2_000)
			return contest{
				limit:    {{"", func(ctx context.Context) ([]float64, error) { return carried(ctx, s, n) }}},
				pitwheel: {{"", func(ctx context.Context) ([]float64, error) { return throughput(ctx, s, 0, n) }}},
			}, nil
		}, figures: []figure{
			{name: "command-throughput", work: "command to outcome, every handler running; limit: RabbitMQ's share alone", unit: "commands/s", goals: []goal{{"", 5_000}}},
			{name: "command-settled", work: "command to outcome, event, mail and row", unit: "commands/s"}}},
		{name: "command-latency", needs: both, prepare: func(_ context.Context, s *space) (contest, error) {
			return contest{pitwheel: {{"", func(ctx context.Context) ([]float64, error) { return latency(ctx, s, s.count(10_000, 1_000)) }}}}, nil
		}, figures: []figure{
			{name: "command-latency-1250-p50", work: "command to outcome at 1,250 a second, median", unit: "ms", least: true},
			{name: "command-latency-1250-p99", work: "command to outcome at 1,250 a second, 99th percentile", unit: "ms", least: true},
			{name: "command-latency-p50", work: "command to outcome at 2,500 a second, median", unit: "ms", least: true},
			{name: "command-latency-p99", work: "command to outcome at 2,500 a second, 99th percentile", unit: "ms", least: true, goals: []goal{{"", 50}}}}},
	}, longRows()...)
}

// longRows take too long for -short.
func longRows() []row {
	both := []broker{rabbitMQ, redisDB}
	restless := "100,000 events over 1,000 keys, handler takes 0–5 ms and fails 1 % of first attempts, order checked"
	return []row{
		{name: "restless-rabbit", long: true, needs: both, prepare: restlessRow(rabbitMQ), figures: []figure{
			{name: "restless-rabbit", work: "RabbitMQ: " + restless, unit: "msgs/s", goals: []goal{{plain, 20}}}}},
		{name: "restless-redis", long: true, needs: both[1:], prepare: restlessRow(redisDB), figures: []figure{
			{name: "restless-redis", work: "Redis Streams: " + restless, unit: "msgs/s", goals: []goal{{plain, 20}}}}},
		{name: "slow-key", long: true, needs: both, prepare: slowKey, figures: []figure{
			{name: "slow-key", work: "99th percentile of the wait of other keys while one takes 1 s, beside none", unit: "ms", least: true, goals: []goal{{limit, 2}}}}},
		{name: "growth-handlers", long: true, lasting: true, needs: both, prepare: growingHandlers,
			figures: grown("growth-handlers", handlerCounts(), "handlers on one event", "msgs/s")},
		{name: "growth-partitions", long: true, lasting: true, needs: both, prepare: growingPartitions,
			figures: grown("growth-partitions", partitionCounts(), "partitions, command to outcome", "commands/s")},
		{name: "growth-events", long: true, lasting: true, needs: both[1:], prepare: rebuilding(0, 10_000, 100_000, 1_000_000),
			figures: grown("growth-events", []int{10_000, 100_000, 1_000_000}, "events, projection rebuild", "events/s")},
		{name: "growth-payload", long: true, lasting: true, needs: both, prepare: growingPayload,
			figures: grown("growth-payload", payloadSizes(), "bytes, RabbitMQ consume", "msgs/s")},
	}
}

// full empties queues; with a wait, in numbers that plain Watermill gets through.
func full(b *bench, queueType string, wait time.Duration) consuming {
	n := b.count(40_000, 3_000)
	c := consuming{queueType: queueType, wait: wait, load: standard(n), few: n / 2, some: n / 2}
	if wait > 0 {
		c.few, c.some = b.count(1_000, 150), b.count(10_000, 2_000)
	}
	return c
}

// publishFigures are the figures of a row that publishes from 1 and from 16 goroutines.
func publishFigures(name, to string) []figure {
	goals := []goal{{limit, 0.9}}
	return []figure{
		{name: name, work: "RabbitMQ publish to a " + to + ", confirmed, from 1 goroutine in batches", unit: "msgs/s", goals: goals},
		{name: name + "-16", work: "RabbitMQ publish to a " + to + ", confirmed, from 16 goroutines in batches", unit: "msgs/s", goals: goals},
	}
}

// sized are the figures of a rebuild from logs of some sizes.
func sized(sizes ...int) []figure {
	out := grown("projection-rebuild", sizes, "events, projection rebuild", "events/s")
	for i := range out {
		out[i].goals = []goal{{"", 100_000}}
	}
	return out
}

// grown are figures of the same work with more and more of something.
func grown(name string, counts []int, of, unit string) []figure {
	var out []figure
	for _, n := range counts {
		out = append(out, figure{name: fmt.Sprintf("%s-%d", name, n), work: fmt.Sprintf("%s %s", thousands(float64(n)), of), unit: unit})
	}
	return out
}
