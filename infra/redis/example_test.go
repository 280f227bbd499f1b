package redis_test

import (
	"context"
	"fmt"
	"time"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/embedded"
	"github.com/pitwheel/pitwheel/infra/redis"
)

// One store is every port of the router: here the log, its reader and the inbox.
func Example() {
	server, err := embedded.Start(embedded.Config{Addr: "127.0.0.1:0"})
	if err != nil {
		panic(err)
	}
	defer func() { _ = server.Close() }()
	ctx := context.Background()
	store, err := redis.Open(ctx, redis.Config{URL: server.URL(), Namespace: "staging", Partitions: 4})
	if err != nil {
		panic(err)
	}
	defer func() { _ = store.Close() }()

	created := events.Envelope{Header: events.Header{ID: events.NewID(), Type: "USER_CREATED", Version: 1}, Data: []byte(`{"userId":"ada"}`)}
	outcome, err := store.Append(ctx, events.AppendRequest{
		Aggregate: "user", AggregateID: "ada", ExpectedVersion: 0, Events: []events.Envelope{created},
		Outcome: events.Outcome{Status: events.StatusAccepted, CommandID: events.NewID(), Version: 1},
	})
	fmt.Println(outcome.Status, err)

	recorded, err := store.Read(ctx, nil, 10, time.Second)
	for _, e := range recorded {
		fmt.Println(e.Type, e.AggregateID, e.Version, "at position", e.Position)
	}
	fmt.Println(err)

	err = store.Record(ctx, "send-welcome", created.ID)
	fmt.Println(err)
	fmt.Println(store.Seen(ctx, "send-welcome", created.ID))
	// Output:
	// accepted <nil>
	// USER_CREATED ada 1 at position 1
	// <nil>
	// <nil>
	// true <nil>
}
