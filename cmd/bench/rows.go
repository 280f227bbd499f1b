package main

import (
	"context"
	"fmt"
	"time"
)

// rows is the table of contents: first the rows with goals for each part, then
// what happens from end to end, then how cost grows. The figure of a row that has a single
// one is named after the row.
func rows() []row {
	both, onlyRedis := []broker{rabbitMQ, redisDB}, []broker{redisDB}
	const restless = "100,000 events over 1,000 keys, handler takes 0–5 ms and fails 1 % of first attempts, order checked"
	// one is the figure of a row that has a single one.
	one := func(work, unit string, goals ...goal) []figure {
		return []figure{{work: work, unit: unit, least: unit == "ms" || unit == "bytes", goals: goals}}
	}
	all := []row{
		{name: "rabbit-consume-quorum", needs: both, prepare: consumers(rabbitMQ, emptied("quorum", 0)),
			figures: one("RabbitMQ consume, quorum queue", "msgs/s", goal{limit, 0.8}, goal{plain, 2})},
		{name: "rabbit-consume-classic", needs: both, prepare: consumers(rabbitMQ, emptied("classic", 0)),
			figures: one("RabbitMQ consume, classic queue", "msgs/s", goal{limit, 0.85})},
		{name: "rabbit-consume-1ms", needs: both, prepare: consumers(rabbitMQ, emptied("quorum", time.Millisecond)),
			figures: one("RabbitMQ consume, handler waits 1 ms", "msgs/s", goal{plain, 2})},
		{name: "redis-consume-1ms", needs: onlyRedis, prepare: consumers(redisDB, emptied("", time.Millisecond)),
			figures: one("Redis Stream consume, handler waits 1 ms", "msgs/s", goal{plain, 3})},
		{name: "rabbit-publish-quorum", lasting: true, needs: both, prepare: rabbitPublish("quorum"), figures: publishFigures("rabbit-publish-quorum", "quorum queue")},
		{name: "rabbit-publish-classic", lasting: true, needs: both, prepare: rabbitPublish("classic"), figures: publishFigures("rabbit-publish-classic", "classic queue")},
		{name: "redis-consume", needs: onlyRedis, prepare: consumers(redisDB, func(b *bench) consuming {
			n := b.count(200_000, 15_000)
			return consuming{load: standard(n), few: n / 10, some: n / 5}
		}), figures: one("Redis Stream consume", "msgs/s", goal{limit, 0.4}, goal{plain, 7})},
		{name: "redis-publish", lasting: true, needs: onlyRedis, prepare: redisPublish,
			figures: one("Redis Stream publish, in batches", "msgs/s", goal{limit, 0.5})},
		{name: "rabbit-ledger", needs: both, prepare: ledgered(rabbitMQ, "quorum", func(b *bench) int { return b.count(40_000, 3_000) }),
			figures: one("RabbitMQ consume with the ledger; limit: with the inbox", "msgs/s", goal{limit, 0.97})},
		{name: "redis-ledger", needs: onlyRedis, prepare: ledgered(redisDB, "", func(b *bench) int { return b.count(200_000, 15_000) }),
			figures: one("Redis Stream consume with the ledger; limit: with the inbox", "msgs/s", goal{limit, 0.97})},
		{name: "router", lasting: true, prepare: func(_ context.Context, s *space) contest { return inProcess(s.count(300_000, 60_000)) },
			figures: one("router, full pipeline, no broker", "msgs/s", goal{limit, 0.65})},
		{name: "append", lasting: true, needs: onlyRedis, prepare: appends,
			figures: one("append: version check, event, outcome, by 50 writers", "appends/s", goal{limit, 0.7})},
		{name: "log-memory", needs: onlyRedis, prepare: logMemory, figures: one("memory of one event in the log", "bytes", goal{limit, 1.25})},
		{name: "relay", needs: both, prepare: relaying, figures: one("relay, log to RabbitMQ, confirmed", "msgs/s", goal{limit, 0.85})},
		{name: "projection-rebuild", lasting: true, needs: onlyRedis, prepare: rebuilding(10_000, 100_000),
			figures: grown("projection-rebuild", []int{10_000, 100_000}, "events, projection rebuild", "events/s", goal{"", 100_000})},
		{name: "load-aggregate", lasting: true, needs: onlyRedis, prepare: loading,
			figures: one("load an aggregate of 100,000 events, compared with one of 10", "ms", goal{limit, 1.5})},
		{name: "command-throughput", needs: both, prepare: func(_ context.Context, s *space) contest {
			n := s.count(25_000, 2_000)
			return contest{
				limit:    {{"", func(ctx context.Context) []float64 { return carried(ctx, s, n) }}},
				pitwheel: {{"", func(ctx context.Context) []float64 { return throughput(ctx, s, serving{way: queued}, n) }}},
			}
		}, figures: []figure{
			{name: "command-throughput", work: "command to outcome, every handler running; limit: RabbitMQ's share alone", unit: "commands/s", goals: []goal{{"", 5_000}}},
			{name: "command-settled", work: "command to outcome, event, mail and row", unit: "commands/s"}}},
		{name: "command-latency", needs: both, prepare: func(_ context.Context, s *space) contest {
			return contest{pitwheel: {{"", func(ctx context.Context) []float64 { return latency(ctx, s, s.count(10_000, 1_000)) }}}}
		}, figures: []figure{
			{name: "command-latency-1250-p50", work: "command to outcome at 1,250 a second, median", unit: "ms", least: true},
			{name: "command-latency-1250-p99", work: "command to outcome at 1,250 a second, 99th percentile", unit: "ms", least: true},
			{name: "command-latency-p50", work: "command to outcome at 2,500 a second, median", unit: "ms", least: true},
			{name: "command-latency-p99", work: "command to outcome at 2,500 a second, 99th percentile", unit: "ms", least: true, goals: []goal{{"", 50}}}}},
		{name: "execute", needs: onlyRedis, prepare: executing,
			figures: one("Execute from Go, by 50 goroutines; limit: the raw script that appends", "commands/s", goal{limit, 0.6})},
		{name: "settled", needs: both, prepare: settling, figures: []figure{
			{name: "settled-outcome", work: "Execute to outcome, every handler running", unit: "commands/s"},
			{name: "settled", work: "Execute to outcome, event, mail and row; limit: the relay alone", unit: "commands/s", goals: []goal{{limit, 0.8}}}}},
		{name: "http-rabbit", needs: both, prepare: overHTTP(onRabbit), figures: httpFigures(onRabbit, "over RabbitMQ")},
		{name: "http-redis", needs: onlyRedis, prepare: overHTTP(onRedis), figures: httpFigures(onRedis, "over Redis Streams")},
		{name: "http-embedded", prepare: overHTTP(onEmbedded), figures: httpFigures(onEmbedded, "with Redis in process")},

		// These take too long for -short.
		{name: "restless-rabbit", long: true, needs: both, prepare: restlessRow(rabbitMQ),
			figures: one("RabbitMQ: "+restless, "msgs/s", goal{plain, 20})},
		{name: "restless-redis", long: true, needs: onlyRedis, prepare: restlessRow(redisDB),
			figures: one("Redis Streams: "+restless, "msgs/s", goal{plain, 20})},
		{name: "slow-key", long: true, needs: both, prepare: slowKey,
			figures: one("99th percentile of the wait of other keys while one takes 1 s, compared with none", "ms", goal{limit, 2})},
		{name: "growth-handlers", long: true, lasting: true, needs: both, prepare: growingHandlers,
			figures: grown("growth-handlers", handlerCounts(), "handlers on one event", "msgs/s")},
		{name: "growth-partitions", long: true, lasting: true, needs: both, prepare: growingPartitions,
			figures: grown("growth-partitions", partitionCounts(), "partitions, command to outcome", "commands/s")},
		{name: "growth-events", long: true, lasting: true, needs: onlyRedis, prepare: rebuilding(10_000, 100_000, 1_000_000),
			figures: grown("growth-events", []int{10_000, 100_000, 1_000_000}, "events, projection rebuild", "events/s")},
		{name: "growth-payload", long: true, lasting: true, needs: both, prepare: growingPayload,
			figures: grown("growth-payload", payloadSizes(), "bytes, RabbitMQ consume", "msgs/s")},
	}
	for _, r := range all {
		if len(r.figures) == 1 {
			r.figures[0].name = r.name
		}
	}
	return all
}

// emptied empties queues; with a wait, in numbers that plain Watermill gets through.
func emptied(queueType string, wait time.Duration) func(*bench) consuming {
	return func(b *bench) consuming {
		n := b.count(40_000, 3_000)
		c := consuming{queueType: queueType, wait: wait, load: standard(n), few: n / 2, some: n / 2}
		if wait > 0 {
			c.few, c.some = b.count(1_000, 150), b.count(10_000, 2_000)
		}
		return c
	}
}

// publishFigures are the figures of a row that publishes from 1 and from 16 goroutines.
func publishFigures(name, to string) []figure {
	work := "RabbitMQ publish to a " + to + ", confirmed, from %d goroutine%s in batches"
	goals := []goal{{limit, 0.9}}
	return []figure{
		{name: name, work: fmt.Sprintf(work, 1, ""), unit: "msgs/s", goals: goals},
		{name: name + "-16", work: fmt.Sprintf(work, 16, "s"), unit: "msgs/s", goals: goals},
	}
}

// grown are figures of the same work with more and more of something.
func grown(name string, counts []int, of, unit string, goals ...goal) []figure {
	var out []figure
	for _, n := range counts {
		out = append(out, figure{name: fmt.Sprintf("%s-%d", name, n), work: fmt.Sprintf("%s %s", thousands(float64(n)), of), unit: unit, goals: goals})
	}
	return out
}
