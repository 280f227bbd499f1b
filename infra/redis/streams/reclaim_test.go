package streams_test

import (
	"context"
	"fmt"
	"io"
	"sync/atomic"
	"testing"

	"github.com/pitwheel/pitwheel/infra/redis/internal/redistest"

	"github.com/ThreeDotsLabs/watermill/message"
	goredis "github.com/redis/go-redis/v9"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/redis"
	"github.com/pitwheel/pitwheel/router"
)

// leftBehind declares a queue of which a consumer of another process has read messages with
// the given ids, all of one key, and has not acknowledged them.
func leftBehind(t testing.TB, s *redis.Store, ns string, cfg router.Subscription, consumer string, ids ...string) {
	t.Helper()
	if err := redistest.Subscriber(t, s, cfg).Declare(context.Background()); err != nil {
		t.Fatal(err)
	}
	if len(ids) == 0 {
		return
	}
	publishAll(t, s, ids...)
	read := redistest.Must[[]goredis.XStream](t)(s.Client().XReadGroup(t.Context(), &goredis.XReadGroupArgs{Group: cfg.Queue, Consumer: consumer, Streams: []string{ns + ":user.events", ">"}, Count: 10_000, Block: -1}).Result())
	if n := len(read[0].Messages); n != len(ids) {
		t.Fatalf("it has read %d messages; want %d", n, len(ids))
	}
}

// publishAll publishes messages of one key.
func publishAll(t testing.TB, s *redis.Store, ids ...string) {
	t.Helper()
	msgs := make([]*message.Message, len(ids))
	for i, id := range ids {
		msgs[i] = redistest.Message(id, "A", "k")
	}
	if err := s.Publisher().Publish("user.events", msgs...); err != nil {
		t.Fatal(err)
	}
}

// A consumer that had no heartbeat for long, and has one again before its messages could be
// reclaimed, keeps them.
func TestReclaim_RevivedConsumerKeepsItsMessages(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("a silent consumer is watched for some seconds")
	}
	redistest.OnEach(t, func(t *testing.T, url string) {
		ns := redistest.Namespace(t, url)
		s, ctx := redistest.OpenIn(t, url, ns), t.Context()
		cfg := router.Subscription{
			Topic: "user.events", Queue: "q", Concurrency: 1, Prefetch: 1,
			Key: func(*message.Message) string { return "" }, // With a key, they would wait in the overflow.
		}
		leftBehind(t, s, ns, cfg, "paused", "x")
		sign := ns + ":alive:paused"
		alive := func() {
			if err := s.Client().Set(ctx, sign, "", 0).Err(); err != nil {
				t.Fatal(err)
			}
		}
		alive()
		other := redistest.OpenIn(t, url, ns)
		checks := make(chan bool, 1000) // whether the consumer was found without a heartbeat
		other.Client().AddHook(redistest.Hook{After: func(cmd goredis.Cmder) {
			if args := cmd.Args(); args[0] == "get" && args[1] == sign {
				checks <- cmd.Err() != nil
			}
		}})
		out := redistest.Must[<-chan *message.Message](t)(redistest.Subscriber(t, other, cfg).Subscribe(ctx, ""))
		// One message is delivered, one waits for the window, one is read ahead, and with
		// the fourth the reader has to wait and cannot reclaim anything.
		for n := range 4 {
			publishAll(t, s, fmt.Sprint(n))
			redistest.Eventually(t, "it is read", func() bool { return redistest.Pending(t, s, ns+":user.events", "q") == int64(n+2) })
		}
		if err := s.Client().Del(ctx, sign).Err(); err != nil {
			t.Fatal(err)
		}
		watch := func(silent bool, times int) {
			for times > 0 {
				if <-checks == silent {
					times--
				}
			}
		}
		watch(true, 6) // That is five seconds; three are enough to be dead.
		alive()
		watch(false, 2) // After the second, the result of the first is in effect.
		for n := range 4 {
			msg := redistest.Next(t, out)
			if msg.UUID != fmt.Sprint(n) {
				t.Errorf("got %s; want %d", msg.UUID, n)
			}
			msg.Ack()
		}
		publishAll(t, s, "last")
		msg := redistest.Next(t, out)
		if msg.UUID != "last" {
			t.Errorf("%s was taken from a consumer that is alive", msg.UUID)
		}
		msg.Ack()
	})
}

// A leader reclaims what the one before it has left before it reads anything newer, even if
// the network fails meanwhile.
func TestReclaim_KeepsTheOrderWhenItFails(t *testing.T) {
	t.Parallel()
	isClaim := func(args []any) bool { return len(args) == 8 && args[4] == "q" }
	isCheck := func(args []any) bool { return args[0] == "xinfo" }
	for name, c := range map[string]struct {
		of       func(args []any) bool // commands whose replies are lost:
		from, to int32                 // these, counted from 1
	}{
		"a claim is repeated":                 {isClaim, 1, 1},
		"the next claim is repeated":          {isClaim, 2, 2},
		"a claim fails":                       {isClaim, 1, 3}, // A command fails after three attempts.
		"the next claim fails":                {isClaim, 2, 4},
		"the last claim fails":                {isClaim, 3, 8},
		"dead consumers cannot be looked for": {isCheck, 1, 7},
		"nothing can be done":                 {func(args []any) bool { return isClaim(args) || isCheck(args) }, 3, 12},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			redistest.OnEach(t, func(t *testing.T, url string) {
				ns := redistest.Namespace(t, url)
				s, other, ctx := redistest.OpenIn(t, url, ns), redistest.OpenIn(t, url, ns), t.Context()
				cfg := router.Subscription{Topic: "user.events", Queue: "q", Ordered: true}
				var ids []string
				for n := range 300 { // More than one claim takes.
					ids = append(ids, fmt.Sprint(n))
				}
				leftBehind(t, s, ns, cfg, "dead", ids...)
				publishAll(t, s, "new")
				var done atomic.Int32
				other.Client().AddHook(redistest.Hook{After: func(cmd goredis.Cmder) {
					if cmd.Err() != nil || !c.of(cmd.Args()) {
						return
					}
					if n := done.Add(1); n >= c.from && n <= c.to {
						cmd.SetErr(io.EOF)
					}
				}})
				out := redistest.Must[<-chan *message.Message](t)(redistest.Subscriber(t, other, cfg).Subscribe(ctx, ""))
				for _, want := range append(ids, "new") {
					msg := redistest.Next(t, out)
					if msg.UUID != want {
						t.Fatalf("got %s; want %s", msg.UUID, want)
					}
					msg.Ack()
				}
				if done.Load() < c.to {
					t.Errorf("only %d such commands were sent", done.Load())
				}
			})
		})
	}
}

// A message without an id can be told from an equal one, by its entry, and is the same one when
// it is delivered again.
func TestReclaim_MessageWithoutID(t *testing.T) {
	t.Parallel()
	redistest.OnEach(t, func(t *testing.T, url string) {
		ns := redistest.Namespace(t, url)
		s, ctx := redistest.OpenIn(t, url, ns), t.Context()
		cfg := router.Subscription{Topic: "user.events", Queue: "q", Ordered: true}
		leftBehind(t, s, ns, cfg, "dead")
		for range 2 {
			entry := redistest.Must[string](t)(s.Client().XAdd(ctx, &goredis.XAddArgs{Stream: ns + ":user.events", Values: []any{"type", "A", "body", "{}"}}).Result())
			redistest.Must[[]goredis.XStream](t)(s.Client().XReadGroup(ctx, &goredis.XReadGroupArgs{Group: "q", Consumer: "dead", Streams: []string{ns + ":user.events", ">"}}).Result())
			sub := redistest.Subscriber(t, s, cfg)
			msg := redistest.Next(t, redistest.Must[<-chan *message.Message](t)(sub.Subscribe(ctx, "")))
			if got, want := msg.Metadata[events.MetaEntry], ns+":user.events "+entry; msg.UUID != "" || got != want {
				t.Errorf("the message %q is of the entry %q, want %q", msg.UUID, got, want)
			}
			msg.Ack()
			if err := sub.Drain(ctx); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// A reclaiming consumer is removed once its messages are acknowledged.
func TestReclaim_RemovesItsConsumerWhenDone(t *testing.T) {
	t.Parallel()
	redistest.OnEach(t, func(t *testing.T, url string) {
		ns := redistest.Namespace(t, url)
		s, ctx := redistest.OpenIn(t, url, ns), t.Context()
		cfg := router.Subscription{Topic: "user.events", Queue: "q", Ordered: true} // A leader does not wait for missing heartbeats.
		leftBehind(t, s, ns, cfg, "dead", "1", "2")
		out := redistest.Must[<-chan *message.Message](t)(redistest.Subscriber(t, s, cfg).Subscribe(ctx, ""))
		publishAll(t, s, "3")
		for range 3 {
			redistest.Next(t, out).Ack()
		}
		redistest.Eventually(t, "only the reading consumer is left", func() bool {
			return len(redistest.Must[[]goredis.XInfoConsumer](t)(s.Client().XInfoConsumers(ctx, ns+":user.events", "q").Result())) == 1
		})
	})
}
