package streams_test

import (
	"context"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/go-cmp/cmp"
	goredis "github.com/redis/go-redis/v9"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/redis/internal/redistest"
	"github.com/pitwheel/pitwheel/router"
)

func TestTransport_RemoveQueue(t *testing.T) {
	t.Parallel()
	redistest.OnEach(t, func(t *testing.T, url string) {
		ns := redistest.Namespace(t, url)
		s, ctx := redistest.OpenIn(t, url, ns), t.Context()
		declare := func(queue, kind string) router.Subscriber {
			sub := redistest.Subscriber(t, s, router.Subscription{Topic: "user.commands", Types: []string{kind}, Queue: queue})
			if err := sub.Declare(context.Background()); err != nil {
				t.Fatal(err)
			}
			return sub
		}
		remove := func(queue string, wantLeft int) {
			t.Helper()
			if left := redistest.Must[int](t)(s.RemoveQueue(ctx, "user.commands", queue)); left != wantLeft {
				t.Errorf("%d messages are left in %s; want %d", left, queue, wantLeft)
			}
		}
		groups := func() (out []string) {
			for _, g := range redistest.Must[[]goredis.XInfoGroup](t)(s.Client().XInfoGroups(ctx, ns+":user.commands").Result()) {
				out = append(out, g.Name)
			}
			return out
		}
		if _, err := s.RemoveQueue(ctx, "user.commands", "old"); events.CodeOf(err) != events.CodeNotFound {
			t.Errorf("a queue that does not exist: %v", err)
		}
		old := declare("old", "A")
		declare("other", "B")
		out := redistest.Must[<-chan *message.Message](t)(old.Subscribe(ctx, ""))
		if err := s.Publisher().Publish("user.commands", redistest.Message("1", "A", "k")); err != nil {
			t.Fatal(err)
		}
		redistest.Next(t, out).Ack()
		if _, err := s.RemoveQueue(ctx, "user.commands", "old"); events.CodeOf(err) != events.CodeConfig {
			t.Errorf("a queue that is consumed: %v", err)
		}
		if err := old.Close(); err != nil {
			t.Fatal(err)
		}
		if err := s.Publisher().Publish("user.commands", redistest.Message("waiting", "A", "k")); err != nil {
			t.Fatal(err)
		}
		remove("old", 0)
		if diff := cmp.Diff([]string{"other"}, groups()); diff != "" {
			t.Errorf("the groups of the topic (-want +got):\n%s", diff)
		}
		if has := redistest.Must[bool](t)(s.HasQueue(ctx, "old")); has {
			t.Error("the queue still exists")
		}
		fresh := redistest.OpenIn(t, url, ns) // Another process, that remembers no binding.
		for kind, code := range map[string]string{"A": events.CodeUnhandled, "B": ""} {
			err := fresh.Publisher().Publish("user.commands", redistest.Message("1", kind, "k"))
			if events.CodeOf(err) != code && (err != nil || code != "") {
				t.Errorf("a command of type %s: %v", kind, err)
			}
		}

		// What is meant for the queue alone stays, and so does the queue.
		if err := s.QueuePublisher().Publish("other", redistest.Message("2", "B", "k")); err != nil {
			t.Fatal(err)
		}
		if err := s.Delay(ctx, "other", time.Hour, redistest.Message("3", "B", "k")); err != nil {
			t.Fatal(err)
		}
		remove("other", 2)
		if has := redistest.Must[bool](t)(s.HasQueue(ctx, "other")); !has {
			t.Error("the queue is gone, though not empty")
		}
		if got := groups(); len(got) != 0 {
			t.Errorf("the topic still has the groups %v", got)
		}
		remove("other", 2)
	})
}
