package main

import (
	"context"
	"errors"

	"github.com/hibiken/asynq"
	"golang.org/x/sync/errgroup"
)

const (
	asynqWorkers   = 64
	asynqEnqueuers = 16
)

// asynqQueue is a queue of asynq.
type asynqQueue struct {
	name      string
	redisURL  string
	options   asynq.RedisConnOpt
	client    *asynq.Client
	inspector *asynq.Inspector
	load      []event
}

func openAsynq(ctx context.Context, at addresses, name string, load []event) (queue, error) {
	if err := pingRedis(ctx, at.redis); err != nil {
		return nil, err
	}
	options, err := asynq.ParseRedisURI(at.redis)
	if err != nil {
		return nil, missingError{"Redis", "PITWHEEL_REDIS_URL"}
	}
	if single, ok := options.(asynq.RedisClientOpt); ok {
		single.PoolSize = asynqWorkers + asynqEnqueuers // A connection for each of them.
		options = single
	}
	return &asynqQueue{
		name: name, redisURL: at.redis, options: options, load: load,
		client: asynq.NewClient(options), inspector: asynq.NewInspector(options),
	}, nil
}

func (q *asynqQueue) publish(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	for g := range asynqEnqueuers {
		group.Go(func() error {
			for i := g; i < len(q.load); i += asynqEnqueuers {
				if _, err := q.client.EnqueueContext(ctx, asynq.NewTask("event", q.load[i].body), asynq.Queue(q.name)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return group.Wait()
}

func (q *asynqQueue) consume(_ context.Context, handle func(string)) (func() error, error) {
	server := asynq.NewServer(q.options, asynq.Config{
		Concurrency: asynqWorkers, Queues: map[string]int{q.name: 1}, LogLevel: asynq.FatalLevel,
	})
	err := server.Start(asynq.HandlerFunc(func(_ context.Context, t *asynq.Task) error {
		handle(idOf(t.Payload()))
		return nil
	}))
	return func() error {
		server.Shutdown()
		return nil
	}, err
}

func (q *asynqQueue) remove(ctx context.Context) error {
	err := q.inspector.DeleteQueue(q.name, true)
	if errors.Is(err, asynq.ErrQueueNotFound) {
		err = nil // Nothing was published yet.
	}
	// Its counters for each day stay behind otherwise.
	return errors.Join(err, removeKeys(ctx, q.redisURL, "asynq:{"+q.name+"}:*"), q.inspector.Close(), q.client.Close())
}
