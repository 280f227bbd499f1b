package cli

import (
	"context"
	"iter"

	"github.com/pitwheel/pitwheel/router/poison"
)

// poisonAdmin administers the poison messages of the running service.
type poisonAdmin struct {
	*poison.Admin
	client *client
	queues *lazyQueues
}

// poisonAdmin connects to the running service. It connects to RabbitMQ, too, if the
// command needs queues in any case, else when they are first used.
func (c *cli) poisonAdmin(ctx context.Context, queues bool) (*poisonAdmin, error) {
	client, err := c.reach(ctx, queues)
	if err != nil {
		return nil, err
	}
	a := &poisonAdmin{client: client, queues: &lazyQueues{c: c}}
	if queues {
		a.queues.use(client)
	}
	if a.Admin, err = poison.New(poison.Config{Store: client.Store, Queues: a.queues, Parking: client.Store}); err != nil {
		a.Close()
		return nil, err
	}
	return a, nil
}

// Close closes the connections.
func (a *poisonAdmin) Close() {
	if other := a.queues.client; other != nil && other != a.client {
		other.Close()
	}
	a.client.Close()
}

// lazyQueues are the queues of the running service. They are connected when one is first
// looked up: most discards need none, and can be done while RabbitMQ is away.
type lazyQueues struct {
	poison.Queues // nil: not connected yet
	c             *cli
	client        *client
}

func (q *lazyQueues) use(client *client) {
	q.client, q.Queues = client, client.Store
	if client.Broker != nil {
		q.Queues = client.Broker
	}
}

// HasQueue reports whether a queue exists.
func (q *lazyQueues) HasQueue(ctx context.Context, name string) (bool, error) {
	if q.Queues == nil {
		client, err := q.c.reach(ctx, withCommands)
		if err != nil {
			return false, err
		}
		q.use(client)
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
