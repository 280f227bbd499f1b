package cli

import (
	"context"
	"iter"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router"
	"github.com/pitwheel/pitwheel/router/poison"
)

// poisonAdmin returns the administration of the poison messages of the running service. It
// connects to RabbitMQ when a queue is first used.
func (c *cli) poisonAdmin(ctx context.Context) (*poison.Admin, error) {
	client, err := c.reach(ctx, storeOnly)
	if err != nil {
		return nil, err
	}
	return c.poisonAdminOf(client)
}

// poisonAdminOf is poisonAdmin over a connection, which may have its queues already.
func (c *cli) poisonAdminOf(client *client) (*poison.Admin, error) {
	q := &lazyQueues{c: c}
	if client.Commands != nil {
		q.Queues = client.Transport
	}
	return poison.New(poison.Config{Store: client.Store, Queues: q, Parking: client.Store, Ledger: router.NewPoisonLedger(client.Store)})
}

// explainMissing adds a way out to the error about a poison message that is not there.
// Other errors are returned as they are.
func explainMissing(err error) error {
	if e := asError(err); e.Code == events.CodeNotFound && e.Hint == "" {
		return e.WithHint("`%[1]s poison list` has those that are there, and `%[1]s poison audit` what was done to others", program())
	}
	return err
}

// lazyQueues are the queues of the running service. They are connected when one is first
// looked up: most discards need none, and can be done while RabbitMQ is away.
type lazyQueues struct {
	poison.Queues // nil: not connected yet
	c             *cli
}

// HasQueue reports whether a queue exists.
func (q *lazyQueues) HasQueue(ctx context.Context, name string) (bool, error) {
	if q.Queues == nil {
		client, err := q.c.reach(ctx, withCommands)
		if err != nil {
			return false, err
		}
		q.Queues = client.Transport
	}
	return q.Queues.HasQueue(ctx, name)
}

// first returns at most n values of a sequence; all of them if n is 0. An error counts as
// one.
func first[T any](all iter.Seq2[T, error], n int) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		count := 0
		for v, err := range all {
			if count++; !yield(v, err) || count == n {
				return
			}
		}
	}
}
