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
func loading(ctx context.Context, s *space) (contest, error) {
	app, err := s.openOn(ctx, redisDB, "", 0)
	if err != nil {
		return nil, err
	}
	young, old := userID(1), userID(2)
	if err := app.grow(ctx, young, shortLife); err != nil {
		return nil, err
	}
	if err := app.grow(ctx, old, longLife); err != nil {
		return nil, err
	}
	return contest{
		limit:    {{"10 events", one(func(ctx context.Context) (float64, error) { return app.load(ctx, young, shortLife) })}},
		pitwheel: {{"100,000 events", one(func(ctx context.Context) (float64, error) { return app.load(ctx, old, longLife) })}},
	}, nil
}

// grow gives an aggregate its history, and a snapshot if it is long.
func (a *application) grow(ctx context.Context, id string, life uint64) error {
	const atOnce = 500
	load := standard(1)
	var state sample.User
	event := func(i int) events.Envelope {
		e := load.envelope(0)
		if i > 0 {
			e.Type = "USER_EMAIL_CHANGED"
			e.Data, _ = json.Marshal(sample.EmailChanged{UserID: id, Email: "ada.lovelace@example.com"})
		}
		return e
	}
	for version := uint64(0); version < life; version += atOnce {
		n := int(min(atOnce, life-version))
		if _, err := a.store.Append(ctx, decided(id, version, n, func(i int) events.Envelope { return event(int(version) + i) })); err != nil {
			return err
		}
	}
	if life <= sinceSnapshot {
		return nil
	}
	state = state.Apply(sample.Created{UserID: id, Email: "ada@ex.com"}).Apply(sample.EmailChanged{UserID: id, Email: "ada.lovelace@example.com"})
	text, err := json.Marshal(state)
	if err != nil {
		return err
	}
	return a.store.SaveSnapshot(ctx, "user", id, events.Snapshot{Version: life - sinceSnapshot, Schema: a.schema(), State: text})
}

// schema is the schema of the aggregate's state.
func (a *application) schema() string {
	t, _ := a.catalogue.LookupAggregate("user")
	return t.StateSchema
}

// load loads and folds an aggregate many times, one after the other, and returns
// the median in milliseconds.
func (a *application) load(ctx context.Context, id string, version uint64) (float64, error) {
	took := make([]time.Duration, 0, loads)
	for range loads {
		started := time.Now()
		h, err := a.store.Load(ctx, "user", id, a.schema())
		if err != nil {
			return 0, err
		}
		state, err := events.Fold[sample.User](a.catalogue, h)
		if err != nil {
			return 0, err
		}
		took = append(took, time.Since(started))
		if h.Version() != version || !state.Exists() {
			return 0, events.Errorf(events.CodeInternal, "an aggregate of %d events was loaded at version %d", version, h.Version())
		}
	}
	return percentile(took, 50), nil
}
