package main

import (
	"context"
	"slices"
	"strconv"

	"github.com/redis/go-redis/v9"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router"
	"github.com/pitwheel/pitwheel/router/routertest/sample"
)

// directory is the projection of the sample application, alone.
func directory() []router.Handler {
	return slices.DeleteFunc(sample.Handlers(nil), func(h router.Handler) bool { return h.Kind() != router.KindProjection })
}

// rebuilding measures building the user directory from nothing, out of logs with
// the given numbers of events: one figure each. The limit reads the same entries.
func rebuilding(sizes ...int) func(context.Context, *space) contest {
	return func(ctx context.Context, s *space) contest {
		apps := map[int]*application{}
		for _, n := range sizes {
			// A space of its own for each log; the pair's space removes it.
			part := &space{bench: s.bench, name: s.name + "-" + strconv.Itoa(n)}
			s.later(func() { _ = catch(part.clean) })
			apps[n] = part.openOn(ctx, redisDB, "", 0)
			apps[n].record(ctx, n)
		}
		return contest{
			limit:    growing(sizes, func(ctx context.Context, n int) float64 { return apps[n].space.rangeRaw(ctx, n) }),
			pitwheel: growing(sizes, func(ctx context.Context, n int) float64 { return apps[n].rebuild(ctx, n) }),
		}
	}
}

// rebuild projects the whole log.
func (a *application) rebuild(ctx context.Context, n int) float64 {
	list := directory()
	check(a.store.DropProjection(ctx, list[0].Name()))
	rate := a.timed(ctx, n, "projection", list...)
	last := (n - 1) / historyLength
	rows := get(a.store.Rows(ctx, list[0].Name(), []string{userID(0), userID(last)}))
	if rows[0] == nil || rows[1] == nil {
		check(events.Errorf(events.CodeInternal, "rows are missing after a rebuild from %d events", n))
	}
	return rate
}

// rangeRaw reads all entries of the log in batches of 1,000.
func (s *space) rangeRaw(ctx context.Context, n int) float64 {
	client := s.redisClient()
	m := newMeter(n, n)
	read := 0
	for _, stream := range s.logs(ctx) {
		for from := "-"; ; {
			entries, err := client.Do(ctx, "xrange", stream, from, "+", "count", 1000).Slice()
			if err != nil && err != redis.Nil { //nolint:errorlint // The client returns it as it is.
				check(err)
			}
			for _, e := range entries {
				pair, _ := e.([]any)
				if len(pair) == 2 {
					id, _ := pair[0].(string)
					from = "(" + id
				}
				m.mark(read)
				read++
			}
			if len(entries) < 1000 {
				break
			}
		}
	}
	if read != n {
		check(events.Errorf(events.CodeInternal, "the log holds %d events, not %d", read, n))
	}
	return m.wait(ctx)
}
