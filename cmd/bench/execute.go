package main

import (
	"context"
	"math"
)

// Commands that are decided in the process that was asked.

// executing measures commands against the raw script that appends, both from fifty
// goroutines. No relay and no projection runs, so that both do the same work.
func executing(ctx context.Context, s *space) contest {
	n := s.count(50_000, 5_000)
	app := s.openOn(ctx, redisDB, "", 0)
	return contest{
		limit: s.rawAppends(ctx, n),
		pitwheel: only(func(ctx context.Context) float64 {
			return whileServing(ctx, app, noRole, inside, func(ctx context.Context, r *reference) float64 {
				r.flood(ctx, writers, 300)
				return r.flood(ctx, writers, n)
			})
		}),
	}
}

// settling measures commands until all their effects are done, against the relay alone,
// which each of their events has to pass.
func settling(_ context.Context, s *space) contest {
	n := s.count(25_000, 2_000)
	return contest{
		limit: {{"", func(ctx context.Context) []float64 {
			return []float64{math.NaN(), s.apart(func(part *space) float64 { return part.relayAlone(ctx, n) })}
		}}},
		pitwheel: {{"", func(ctx context.Context) []float64 { return throughput(ctx, s, serving{way: inside}, n) }}},
	}
}
