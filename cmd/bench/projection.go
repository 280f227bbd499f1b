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
func rebuilding(partitions int, sizes ...int) func(context.Context, *space) (contest, error) {
	return func(ctx context.Context, s *space) (contest, error) {
		var raw, ours []func(context.Context) (float64, error)
		for _, n := range sizes {
			// A space of its own for each log; the pair's space removes it.
			part := s.newSpace()
			part.name = s.name + "-" + strconv.Itoa(n)
			s.later(func() { _ = part.clean() })
			app, err := part.openOn(ctx, redisDB, "", partitions)
			if err != nil {
				return nil, err
			}
			if err := app.record(ctx, n); err != nil {
				return nil, err
			}
			raw = append(raw, func(ctx context.Context) (float64, error) { return part.rangeRaw(ctx, n) })
			ours = append(ours, func(ctx context.Context) (float64, error) { return app.rebuild(ctx, n) })
		}
		return contest{
			limit:    {{"", inTurn(raw)}},
			pitwheel: {{"", inTurn(ours)}},
		}, nil
	}
}

// inTurn runs one function after the other, each for one figure.
func inTurn(list []func(context.Context) (float64, error)) func(context.Context) ([]float64, error) {
	return func(ctx context.Context) ([]float64, error) {
		out := make([]float64, len(list))
		for i, f := range list {
			var err error
			if out[i], err = f(ctx); err != nil {
				return nil, err
			}
		}
		return out, nil
	}
}

// rebuild projects the whole log.
func (a *application) rebuild(ctx context.Context, n int) (float64, error) {
	list := directory()
	if err := a.store.DropProjection(ctx, list[0].Name()); err != nil {
		return 0, err
	}
	watch := newStopwatch(n)
	stop, _, err := a.start(ctx, list, func(c *router.Config) {
		c.Elector = onlyRole{a.store, "projection"}
		c.Reader = timedReader{a.store, watch}
		c.Projections = timedViews{a.store, watch}
	})
	if err != nil {
		return 0, err
	}
	rate, err := watch.wait(ctx)
	if stopErr := stop(); err == nil {
		err = stopErr
	}
	if err != nil {
		return 0, err
	}
	last := (n - 1) / historyLength
	rows, err := a.store.Rows(ctx, list[0].Name(), []string{userID(0), userID(last)})
	if err == nil && (rows[0] == nil || rows[1] == nil) {
		err = events.Errorf(events.CodeInternal, "rows are missing after a rebuild from %d events", n)
	}
	return rate, err
}

// rangeRaw reads all entries of the log in batches of 1,000.
func (s *space) rangeRaw(ctx context.Context, n int) (float64, error) {
	client, err := s.redisClient()
	if err != nil {
		return 0, err
	}
	logs, err := s.logs(ctx, client)
	if err != nil {
		return 0, err
	}
	m := newMeter(n, n)
	read := 0
	for _, stream := range logs {
		for from := "-"; ; {
			entries, err := client.Do(ctx, "xrange", stream, from, "+", "count", 1000).Slice()
			if err != nil && err != redis.Nil { //nolint:errorlint // The client returns it as it is.
				return 0, err
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
		return 0, events.Errorf(events.CodeInternal, "the log holds %d events, not %d", read, n)
	}
	return m.wait(ctx)
}
