package main

import (
	"context"
	"encoding/json"
	"log/slog"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
)

// What River's own benchmark has: its defaults fetch at most ten times a second.
const (
	riverBatch    = 5_000
	riverWorkers  = 1_000
	riverCooldown = 2 * time.Millisecond
	riverPoll     = 20 * time.Millisecond
)

// riverQueue is a schema of PostgreSQL with River's tables.
type riverQueue struct {
	schema string
	pool   *pgxpool.Pool
	jobs   []river.InsertManyParams
}

// riverJob is an event as River's arguments, which are JSON.
type riverJob struct {
	ID        string          `json:"id"`
	Type      string          `json:"type"`
	Timestamp string          `json:"timestamp"`
	Data      json.RawMessage `json:"data"`
}

// Kind returns the name of the job.
func (riverJob) Kind() string { return "event" }

func openRiver(ctx context.Context, at addresses, name string, load []event) (queue, error) {
	config, err := pgxpool.ParseConfig(at.postgres)
	if err != nil {
		return nil, missingError{"PostgreSQL", "POSTGRES_URL"}
	}
	config.MaxConns = 16
	config.ConnConfig.ConnectTimeout = 3 * time.Second
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	if pool.Ping(ctx) != nil {
		pool.Close()
		return nil, missingError{"PostgreSQL", "POSTGRES_URL"}
	}
	q := &riverQueue{schema: name, pool: pool}
	for _, e := range load {
		var job riverJob
		if err := json.Unmarshal(e.body, &job); err != nil {
			return q, err
		}
		q.jobs = append(q.jobs, river.InsertManyParams{Args: job})
	}
	if _, err := pool.Exec(ctx, "CREATE SCHEMA "+q.quoted()); err != nil {
		return q, err
	}
	migrator, err := rivermigrate.New(riverpgxv5.New(pool), &rivermigrate.Config{Schema: name, Logger: quiet()})
	if err == nil {
		_, err = migrator.Migrate(ctx, rivermigrate.DirectionUp, nil)
	}
	return q, err
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func (q *riverQueue) quoted() string { return pgx.Identifier{q.schema}.Sanitize() }

func (q *riverQueue) publish(ctx context.Context) error {
	client, err := river.NewClient(riverpgxv5.New(q.pool), &river.Config{Schema: q.schema, Logger: quiet()})
	if err != nil {
		return err
	}
	for batch := range slices.Chunk(q.jobs, riverBatch) {
		if _, err := client.InsertManyFast(ctx, batch); err != nil {
			return err
		}
	}
	return nil
}

func (q *riverQueue) consume(ctx context.Context, handle func(string)) (func() error, error) {
	workers := river.NewWorkers()
	river.AddWorker(workers, river.WorkFunc(func(_ context.Context, job *river.Job[riverJob]) error {
		handle(job.Args.ID)
		return nil
	}))
	client, err := river.NewClient(riverpgxv5.New(q.pool), &river.Config{
		Schema: q.schema, Logger: quiet(), Workers: workers, FetchCooldown: riverCooldown, FetchPollInterval: riverPoll,
		Queues: map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: riverWorkers}},
	})
	if err != nil {
		return nil, err
	}
	// An interrupt is for this program: the client is stopped below.
	ctx = context.WithoutCancel(ctx)
	return func() error { return client.Stop(ctx) }, client.Start(ctx)
}

func (q *riverQueue) remove(ctx context.Context) error {
	_, err := q.pool.Exec(ctx, "DROP SCHEMA IF EXISTS "+q.quoted()+" CASCADE")
	q.pool.Close()
	return err
}
