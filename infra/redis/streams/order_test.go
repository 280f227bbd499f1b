package streams_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/pitwheel/pitwheel/infra/redis/internal/redistest"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/go-cmp/cmp"
	goredis "github.com/redis/go-redis/v9"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router"
)

// Many keys, random delays and failures: per key nothing is out of order.
func TestSubscriber_OrderOfEachKey(t *testing.T) {
	t.Parallel()
	redistest.OnEach(t, func(t *testing.T, url string) {
		s := redistest.Open(t, url)
		const keys, each = 40, 25
		var msgs []*message.Message
		for n := range each {
			for k := range keys {
				msgs = append(msgs, redistest.Message(fmt.Sprint(n), "A", fmt.Sprint(k)))
			}
		}
		sub := redistest.Subscriber(t, s, router.Subscription{Topic: "user.events", Queue: "q", Concurrency: 32})
		out := redistest.Must[<-chan *message.Message](t)(sub.Subscribe(t.Context(), ""))
		if err := s.Publisher().Publish("user.events", msgs...); err != nil {
			t.Fatal(err)
		}
		var mu sync.Mutex
		got, failed := map[string][]string{}, map[string]bool{}
		var handlers, all sync.WaitGroup
		all.Add(len(msgs))
		for range 32 {
			handlers.Go(func() {
				for msg := range out {
					key := msg.Metadata.Get(events.MetaAggregateID)
					<-time.After(time.Duration(rand.IntN(1000)) * time.Microsecond)
					mu.Lock()
					if at := key + "/" + msg.UUID; rand.IntN(100) == 0 && !failed[at] {
						failed[at] = true
						mu.Unlock()
						msg.Nack()
						continue
					}
					got[key] = append(got[key], msg.UUID)
					mu.Unlock()
					msg.Ack()
					all.Done()
				}
			})
		}
		all.Wait()
		if err := sub.Drain(t.Context()); err != nil {
			t.Error(err)
		}
		handlers.Wait()
		var want []string
		for n := range each {
			want = append(want, fmt.Sprint(n))
		}
		for k := range keys {
			if diff := cmp.Diff(want, got[fmt.Sprint(k)]); diff != "" {
				t.Errorf("key %d: %s", k, diff)
			}
		}
	})
}

// What a consumer has read and not acknowledged when it ends, another one receives.
func TestSubscriber_ReclaimsWhatADrainLeaves(t *testing.T) {
	t.Parallel()
	redistest.OnEach(t, func(t *testing.T, url string) {
		s := redistest.Open(t, url)
		cfg := router.Subscription{Topic: "user.events", Queue: "q", Concurrency: 4}
		first := redistest.Subscriber(t, s, cfg)
		out := redistest.Must[<-chan *message.Message](t)(first.Subscribe(t.Context(), ""))
		if err := s.Publisher().Publish("user.events", redistest.Message("1", "A", "x"), redistest.Message("2", "A", "x"), redistest.Message("3", "A", "y")); err != nil {
			t.Fatal(err)
		}
		one, three := redistest.Next(t, out), redistest.Next(t, out)
		if one.UUID != "1" {
			one, three = three, one
		}
		one.Ack()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := first.Drain(ctx); err == nil {
			t.Error("a drain without time reports no error")
		}
		if _, open := <-out; open {
			t.Error("something is delivered after the drain")
		}
		if err := first.Ready(); events.CodeOf(err) != events.CodeShuttingDown {
			t.Errorf("ready after the drain: %v", err)
		}
		_ = three // Its handler never ends.

		second := redistest.Subscriber(t, s, cfg)
		out = redistest.Must[<-chan *message.Message](t)(second.Subscribe(t.Context(), ""))
		got := map[string]bool{}
		for range 2 {
			msg := redistest.Next(t, out)
			got[msg.UUID] = true
			msg.Ack()
		}
		if !got["2"] || !got["3"] {
			t.Errorf("reclaimed: %v; want 2 and 3", got)
		}
	})
}

// A consumer that died is found by its missing heartbeat; one that is only slow keeps its
// message.
func TestSubscriber_ReclaimsFromDeadConsumersOnly(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("a consumer counts as dead after eight seconds")
	}
	redistest.OnEach(t, func(t *testing.T, url string) {
		ns := redistest.Namespace(t, url)
		s, ctx := redistest.OpenIn(t, url, ns), t.Context()
		cfg := router.Subscription{Topic: "user.events", Queue: "q"}
		slow := redistest.Subscriber(t, s, cfg)
		slowOut := redistest.Must[<-chan *message.Message](t)(slow.Subscribe(ctx, ""))
		if err := s.Publisher().Publish("user.events", redistest.Message("slow", "A", "")); err != nil {
			t.Fatal(err)
		}
		held := redistest.Next(t, slowOut)
		// Not the subscriber but the test reads this one, and never acknowledges it.
		other := redistest.Subscriber(t, s, router.Subscription{Topic: "other.events", Queue: "q"})
		if err := other.Declare(context.Background()); err != nil {
			t.Fatal(err)
		}
		if err := s.Publisher().Publish("other.events", redistest.Message("dead", "A", "")); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			err := s.Client().XReadGroup(ctx, &goredis.XReadGroupArgs{Group: "q", Consumer: "dead", Streams: []string{ns + ":other.events", ">"}, Count: 10, Block: -1}).Err()
			if err != nil && !errors.Is(err, goredis.Nil) {
				t.Fatal(err)
			}
		}
		second := redistest.Subscriber(t, s, cfg)
		secondOut := redistest.Must[<-chan *message.Message](t)(second.Subscribe(ctx, ""))
		otherOut := redistest.Must[<-chan *message.Message](t)(other.Subscribe(ctx, ""))
		if got := redistest.Next(t, otherOut); got.UUID != "dead" {
			t.Errorf("reclaimed: %s", got.UUID)
		} else {
			got.Ack()
		}
		select {
		case got := <-secondOut:
			t.Errorf("the message %s of a consumer that is alive was reclaimed", got.UUID)
		default:
		}
		held.Ack()
		redistest.Eventually(t, "the slow one is acknowledged", func() bool { return redistest.Pending(t, s, ns+":user.events", "q") == 0 })
	})
}

// With Ordered, one instance consumes, and another one takes its place when it ends.
func TestSubscriber_OrderedAcrossInstances(t *testing.T) {
	t.Parallel()
	redistest.OnEach(t, func(t *testing.T, url string) {
		s := redistest.Open(t, url)
		cfg := router.Subscription{Topic: "user.events", Queue: "q", Concurrency: 8, Ordered: true}
		subs := []router.Subscriber{redistest.Subscriber(t, s, cfg), redistest.Subscriber(t, s, cfg)}
		type got struct {
			by  int
			msg *message.Message
		}
		all := make(chan got)
		for i, sub := range subs {
			out := redistest.Must[<-chan *message.Message](t)(sub.Subscribe(t.Context(), ""))
			go func() {
				for msg := range out {
					select {
					case all <- got{i, msg}:
					case <-t.Context().Done():
						return
					}
				}
			}()
		}
		publish := func(ids ...string) {
			t.Helper()
			for _, id := range ids {
				if err := s.Publisher().Publish("user.events", redistest.Message(id, "A", "k")); err != nil {
					t.Fatal(err)
				}
			}
		}
		receive := func(want string) int {
			t.Helper()
			select {
			case g := <-all:
				if g.msg.UUID != want {
					t.Errorf("got %s; want %s", g.msg.UUID, want)
				}
				g.msg.Ack()
				return g.by
			case <-time.After(time.Minute):
				t.Fatalf("no message; want %s", want)
				return 0
			}
		}
		publish("1", "2", "3")
		leader := receive("1")
		if receive("2") != leader || receive("3") != leader {
			t.Error("two instances consume at once")
		}
		if err := subs[leader].Drain(t.Context()); err != nil {
			t.Fatal(err)
		}
		publish("4", "5")
		if receive("4") == leader || receive("5") == leader {
			t.Error("the drained instance goes on")
		}
	})
}
