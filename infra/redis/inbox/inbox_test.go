package inbox_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pitwheel/pitwheel/infra/redis/internal/redistest"

	"github.com/ThreeDotsLabs/watermill/message"
	goredis "github.com/redis/go-redis/v9"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/redis"
	"github.com/pitwheel/pitwheel/router"
)

func TestInbox_SeenAndRecord(t *testing.T) {
	t.Parallel()
	redistest.OnEach(t, func(t *testing.T, url string) {
		ns := redistest.Namespace(t, url)
		s, other, ctx := redistest.OpenIn(t, url, ns), redistest.OpenIn(t, url, ns), t.Context()
		for _, id := range []string{events.NewID(), "not a UUID"} {
			if redistest.Must[bool](t)(s.Seen(ctx, "h", id)) {
				t.Error("seen before it was recorded")
			}
			for range 2 {
				if err := s.Record(ctx, "h", id); err != nil {
					t.Fatal(err)
				}
				if !redistest.Must[bool](t)(s.Seen(ctx, "h", id)) {
					t.Error("not seen after it was recorded")
				}
			}
			if redistest.Must[bool](t)(s.Seen(ctx, "other", id)) {
				t.Error("seen by a handler that has not handled it")
			}
			redistest.Eventually(t, "another process sees it", func() bool { return redistest.Must[bool](t)(other.Seen(ctx, "h", id)) })
		}
	})
}

// What was recorded is written before a store is closed.
func TestInbox_Close_WritesTheBuffer(t *testing.T) {
	t.Parallel()
	redistest.OnEach(t, func(t *testing.T, url string) {
		ns := redistest.Namespace(t, url)
		first := redistest.Must[*redis.Store](t)(redis.Open(t.Context(), redis.Config{URL: url, Namespace: ns}))
		var ids []string
		for range 1000 {
			id := events.NewID()
			ids = append(ids, id)
			if err := first.Record(t.Context(), "h", id); err != nil {
				t.Fatal(err)
			}
		}
		if err := first.Close(); err != nil {
			t.Fatal(err)
		}
		second := redistest.OpenIn(t, url, ns)
		for _, id := range ids {
			if !redistest.Must[bool](t)(second.Seen(t.Context(), "h", id)) {
				t.Fatalf("%s is lost", id)
			}
		}
	})
}

func TestInbox_Expiry(t *testing.T) {
	t.Parallel()
	redistest.OnEach(t, func(t *testing.T, url string) {
		ns := redistest.Namespace(t, url)
		s, ctx, id := redistest.OpenWith(t, redis.Config{URL: url, Namespace: ns, InboxTTL: time.Second}), t.Context(), events.NewID()
		if err := s.Record(ctx, "h", id); err != nil {
			t.Fatal(err)
		}
		recorded := time.Now()
		redistest.Eventually(t, "it is forgotten", func() bool { return !redistest.Must[bool](t)(s.Seen(ctx, "h", id)) })
		if kept := time.Since(recorded); kept < time.Second {
			t.Errorf("it was kept for %s only", kept)
		}
	})
}

// A message that is delivered twice at the same time, as after a publisher's retry, is
// recognised, although both were looked up before either was handled.
func TestInbox_DuplicateInTheSameBatch(t *testing.T) {
	t.Parallel()
	redistest.OnEach(t, func(t *testing.T, url string) {
		s, ctx := redistest.Open(t, url), t.Context()
		if redistest.Must[bool](t)(s.Seen(ctx, "h", "anything")) { // The handler uses the inbox.
			t.Error("seen")
		}
		sub := redistest.Subscriber(t, s, router.Subscription{Handler: "h", Topic: "user.events", Queue: "h"})
		var msgs []*message.Message
		for range 100 {
			id := events.NewID()
			msgs = append(msgs, redistest.Message(id, "A", id), redistest.Message(id, "A", id))
		}
		if err := sub.Declare(context.Background()); err != nil {
			t.Fatal(err)
		}
		if err := s.Publisher().Publish("user.events", msgs...); err != nil {
			t.Fatal(err)
		}
		out := redistest.Must[<-chan *message.Message](t)(sub.Subscribe(ctx, ""))
		handled := 0
		for range msgs {
			msg := redistest.Next(t, out)
			if !redistest.Must[bool](t)(s.Seen(ctx, "h", msg.UUID)) {
				handled++
				if err := s.Record(ctx, "h", msg.UUID); err != nil {
					t.Fatal(err)
				}
			}
			msg.Ack()
		}
		if handled != 100 {
			t.Errorf("%d messages were handled; want 100", handled)
		}
	})
}

// A copy of a message that is read while the record of the first is on its way is
// recognised, although Redis did not have the record when the copy was looked up.
func TestInbox_RecordOnItsWayToRedis(t *testing.T) {
	t.Parallel()
	redistest.OnEach(t, func(t *testing.T, url string) {
		s, ctx := redistest.Open(t, url), t.Context()
		sending, hold := make(chan struct{}, 2), make(chan struct{})
		release := sync.OnceFunc(func() { close(hold) })
		defer release()
		s.Client().AddHook(redistest.Hook{Before: func(cmd goredis.Cmder) {
			if args := cmd.Args(); args[0] == "sadd" && strings.Contains(args[1].(string), "inbox") {
				sending <- struct{}{}
				<-hold
			}
		}})
		out := redistest.Must[<-chan *message.Message](t)(redistest.Subscriber(t, s, router.Subscription{Topic: "user.events", Queue: "q"}).Subscribe(ctx, ""))
		id := events.NewID()
		var msg *message.Message
		deliver := func() {
			t.Helper()
			if err := s.Publisher().Publish("user.events", redistest.Message(id, "A", "k")); err != nil {
				t.Fatal(err)
			}
			msg = redistest.Next(t, out)
		}
		record := func(id string) {
			t.Helper()
			if err := s.Record(ctx, "q", id); err != nil {
				t.Fatal(err)
			}
			<-sending
		}
		deliver()
		if redistest.Must[bool](t)(s.Seen(ctx, "q", id)) {
			t.Error("seen before it was recorded")
		}
		record(id)
		msg.Ack()
		deliver()
		release()
		record(events.NewID()) // It is sent when the first is written.
		if !redistest.Must[bool](t)(s.Seen(ctx, "q", id)) {
			t.Error("what this process has recorded is not seen")
		}
		msg.Ack()
	})
}
