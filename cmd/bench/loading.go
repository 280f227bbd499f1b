package main

import (
	"context"
	"encoding/json"
	"time"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router/routertest/sample"
)

const (
	shortLife = 10
	longLife  = 100_000
	// sinceSnapshot is how many events lie behind the last snapshot on average: one
	// is made whenever a command finds twenty of them (router/decide.go).
	sinceSnapshot = 10
	loads         = 500
)

// loading measures how long it takes to load and fold an aggregate with a long history,
// compared with one with a short history.
func loading(ctx context.Context, s *space) contest {
	app := s.openOn(ctx, redisDB, "", 0)
	timed := func(who string, user int, life uint64) []contestant {
		app.grow(ctx, user, life)
		return []contestant{named(who, func(ctx context.Context) float64 { return app.load(ctx, userID(user), life) })}
	}
	return contest{limit: timed("10 events", 1, shortLife), pitwheel: timed("100,000 events", 2, longLife)}
}

// grow gives an aggregate its history, and a snapshot if it is long.
func (a *application) grow(ctx context.Context, user int, life uint64) {
	const atOnce = 500
	id := userID(user)
	for version := uint64(0); version < life; version += atOnce {
		n := int(min(atOnce, life-version))
		get(a.store.Append(ctx, decided(id, version, n, func(i int) events.Envelope { return history(user, int(version)+i) })))
	}
	if life <= sinceSnapshot {
		return
	}
	var state sample.User
	state = state.Apply(sample.Created{UserID: id, Email: "ada@ex.com"}).Apply(sample.EmailChanged{UserID: id, Email: newEmail})
	text := get(json.Marshal(state))
	check(a.store.SaveSnapshot(ctx, "user", id, events.Snapshot{Version: life - sinceSnapshot, Schema: a.schema(), State: text}))
}

// schema is the schema of the aggregate's state.
func (a *application) schema() string {
	t, _ := a.catalogue.LookupAggregate("user")
	return t.StateSchema
}

// load loads and folds an aggregate many times, one after the other, and returns
// the median in milliseconds.
func (a *application) load(ctx context.Context, id string, version uint64) float64 {
	took := make([]time.Duration, 0, loads)
	for range loads {
		started := time.Now()
		h := get(a.store.Load(ctx, "user", id, a.schema()))
		state := get(events.Fold[sample.User](a.catalogue, h))
		took = append(took, time.Since(started))
		if h.Version() != version || !state.Exists() {
			check(events.Errorf(events.CodeInternal, "an aggregate of %d events was loaded at version %d", version, h.Version()))
		}
	}
	return percentile(took, 50)
}
