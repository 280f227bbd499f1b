package main

import (
	"context"
	"math/rand/v2"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/pitwheel/pitwheel/events"
)

// writers is how many goroutines, or clients, append at the same time.
const writers = 50

// rawAppend is the minimal append: look up the command's outcome, check the version, add
// the event, store the outcome.
const rawAppend = `
if redis.call('GET', KEYS[1]) then return 0 end
if redis.call('LLEN', KEYS[2]) ~= tonumber(ARGV[1]) then return 0 end
local id = redis.call('XADD', KEYS[3], '*', 'id', ARGV[2], 'type', ARGV[3], 'data', ARGV[4])
redis.call('RPUSH', KEYS[2], id)
redis.call('SET', KEYS[1], ARGV[5], 'PX', 604800000)
return 1`

// decided returns the append of one command that led to n events.
func decided(user string, version uint64, n int, event func(i int) events.Envelope) events.AppendRequest {
	command := events.NewID()
	a := events.AppendRequest{Aggregate: "user", AggregateID: user, ExpectedVersion: version, Outcome: events.Outcome{
		Status: events.StatusAccepted, CommandID: command, CorrelationID: events.NewID(),
		Aggregate: "user", AggregateID: user, Version: version + uint64(n),
	}}
	for i := range n {
		e := event(i)
		e.ID, e.AggregateID, e.Version = events.NewID(), user, version+uint64(i)+1
		e.CorrelationID, e.CausationID = a.Outcome.CorrelationID, command
		a.Events = append(a.Events, e)
		a.Outcome.Events = append(a.Outcome.Events, events.EventRef{ID: e.ID, Type: e.Type, Version: e.Version})
	}
	return a
}

// appends measures one append after the other by each of fifty writers.
func appends(ctx context.Context, s *space) contest {
	app := s.openOn(ctx, redisDB, "", 0)
	n := s.count(100_000, 8_000)
	return contest{
		limit:    s.rawAppends(ctx, n),
		pitwheel: only(func(ctx context.Context) float64 { return app.appendAll(ctx, n) }),
	}
}

// rawAppends are the raw script's contestants: n appends each.
func (s *space) rawAppends(ctx context.Context, n int) []contestant {
	client := s.redisClient()
	sha := get(client.ScriptLoad(ctx, rawAppend).Result())
	outcome := `{"status":"accepted","command_id":"` + messageID(1) + `","aggregate":"user","aggregate_id":"` + messageID(2) + `","version":1}`
	load := standard(n)
	return []contestant{
		named("go-redis, 50 goroutines", func(ctx context.Context) float64 {
			return eachWriter(ctx, n, func(ctx context.Context, user string, version uint64, i int) error {
				e := load.envelope(i)
				done, err := client.EvalSha(ctx, sha, []string{s.key("{0}:o:" + events.NewID()), s.key("{0}:i:" + user), s.key("{0}:log")},
					version, e.ID, e.Type, []byte(e.Data), outcome).Int()
				if err == nil && done != 1 {
					err = events.Errorf(events.CodeInternal, "the raw script refused version %d", version)
				}
				return err
			})
		}),
		named("redis-benchmark, 50 clients", func(ctx context.Context) float64 {
			return s.redisBenchmark(ctx, n, "EVALSHA", sha, "3", s.key("{1}:o:__rand_int__"), s.key("{1}:i:__rand_int__"), s.key("{1}:log"),
				"0", messageID(1), userType, string(load.envelope(1).Data), outcome)
		}),
	}
}

// appendAll appends n events, each with a command of its own.
func (a *application) appendAll(ctx context.Context, n int) float64 {
	load := standard(n)
	return eachWriter(ctx, n, func(ctx context.Context, user string, version uint64, i int) error {
		_, err := a.store.Append(ctx, decided(user, version, 1, func(int) events.Envelope { return load.envelope(i) }))
		return err
	})
}

// eachWriter runs f n times in all, each writer on aggregates of its own, so that
// no version is ever wrong.
func eachWriter(ctx context.Context, n int, f func(ctx context.Context, user string, version uint64, i int) error) float64 {
	const users = keys / writers
	salt := rand.IntN(1<<20) * keys // New aggregates at each call.
	return concurrently(ctx, writers, n, func(ctx context.Context, w, mine, i int) error {
		return f(ctx, userID(salt+w*users+mine%users), uint64(mine/users), i)
	})
}

// logMemory measures the memory of one event in the log, compared with a plain stream
// entry with the same content in five fields.
func logMemory(ctx context.Context, s *space) contest {
	app := s.openOn(ctx, redisDB, "", 0)
	n := s.count(50_000, 10_000)
	load := standard(n)
	return contest{
		limit: only(func(ctx context.Context) float64 {
			entries := make([]*redis.XAddArgs, n)
			for i := range entries {
				e := load.envelope(i)
				entries[i] = &redis.XAddArgs{Stream: s.key("raw"), Values: []any{"id", e.ID, "type", e.Type,
					"aggregate_id", e.AggregateID, "version", e.Version, "data", []byte(e.Data)}}
			}
			s.addEntries(ctx, entries)
			return s.memoryOf(ctx, n, s.key("raw"))
		}),
		pitwheel: only(func(ctx context.Context) float64 {
			app.appendAll(ctx, n)
			return s.memoryOf(ctx, n, s.logs(ctx)...)
		}),
	}
}

// logs returns the streams of the space's log.
func (s *space) logs(ctx context.Context) []string {
	var out []string
	all := s.redisClient().ScanType(ctx, 0, s.name+":*", 5000, "stream").Iterator()
	for all.Next(ctx) {
		if strings.HasSuffix(all.Val(), ":log") {
			out = append(out, all.Val())
		}
	}
	check(all.Err())
	return out
}

// memoryOf returns how many bytes of Redis one of n entries takes.
func (s *space) memoryOf(ctx context.Context, n int, streams ...string) float64 {
	client, total, entries := s.redisClient(), int64(0), int64(0)
	for _, stream := range streams {
		total += get(client.MemoryUsage(ctx, stream, 0).Result())
		entries += get(client.XLen(ctx, stream).Result())
	}
	if entries != int64(n) {
		check(events.Errorf(events.CodeInternal, "the streams hold %d entries, not %d", entries, n))
	}
	return float64(total) / float64(n)
}
