package streams_test

import (
	"testing"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/redis/internal/redistest"
	"github.com/pitwheel/pitwheel/router"
)

// A command that no queue receives any more is refused, and not accepted for nobody; one that
// another queue receives is not.
func TestTransport_Unbind(t *testing.T) {
	t.Parallel()
	redistest.OnEach(t, func(t *testing.T, url string) {
		ns := redistest.Namespace(t, url)
		s, ctx := redistest.OpenIn(t, url, ns), t.Context()
		const topic = "user.commands"
		for queue, types := range map[string][]string{"q": {"A", "B", "C"}, "other": {"B"}} {
			sub := redistest.Subscriber(t, s, router.Subscription{Topic: topic, Types: types, Queue: queue})
			if err := sub.Declare(ctx); err != nil {
				t.Fatal(err)
			}
		}
		publish := func(kind, want string) {
			t.Helper()
			if err := s.Publisher().Publish(topic, redistest.Message(events.NewID(), kind, "k")); events.CodeOf(err) != want && (err != nil || want != "") {
				t.Errorf("the command %s: %v, want the code %q", kind, err, want)
			}
		}
		unbind := func(types ...string) {
			t.Helper()
			if err := s.Unbind(ctx, topic, "q", types...); err != nil {
				t.Fatal(err)
			}
		}
		publish("A", "")
		unbind("A", "B")
		publish("A", events.CodeUnhandled)
		publish("B", "")
		publish("C", "")
		unbind("C")
		publish("C", events.CodeUnhandled)
		unbind("C") // It may be repeated.
		// Without types it has no group, which would keep the stream from being trimmed.
		groups, err := s.Client().XInfoGroups(ctx, ns+":"+topic).Result()
		if err != nil || len(groups) != 1 || groups[0].Name != "other" {
			t.Errorf("%v: the groups are %v", err, groups)
		}
	})
}
