package topology_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/pitwheel/pitwheel/infra/redis"
	"github.com/pitwheel/pitwheel/infra/redis/internal/redistest"
	"github.com/pitwheel/pitwheel/router"
)

// want compares what is recorded, apart from times.
func want(t *testing.T, s *redis.Store, want ...router.DeclaredHandler) []router.DeclaredHandler {
	t.Helper()
	got, err := s.DeclaredHandlers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	times := cmpopts.IgnoreTypes(time.Time{}, time.Duration(0))
	if diff := cmp.Diff(want, got, times); diff != "" {
		t.Errorf("recorded (-want +got):\n%s", diff)
	}
	return got
}

func reaction(name, queue string, types ...string) router.DeclaredHandler {
	h := router.DeclaredHandler{Application: "shop", Name: name, Kind: router.KindReaction, Queue: queue}
	for _, t := range types {
		h.Bindings = append(h.Bindings, router.Binding{Topic: "user.events", Type: t})
	}
	return h
}

func TestTopology(t *testing.T) {
	t.Parallel()
	redistest.OnEach(t, func(t *testing.T, url string) {
		s, ctx := redistest.Open(t, url), t.Context()
		declare := func(handlers ...router.DeclaredHandler) {
			t.Helper()
			if err := s.DeclareHandlers(ctx, handlers...); err != nil {
				t.Fatal(err)
			}
		}
		want(t, s)
		rows := router.DeclaredHandler{Application: "shop", Name: "rows", Kind: router.KindProjection, Bindings: []router.Binding{{Type: "A"}}}
		greet := reaction("greet", "q", "A")
		greet.Ordered, greet.Consumed = true, true
		declare(greet, rows)
		greet.Consumed = false // That is asked with the time.
		got := want(t, s, greet, rows)
		since := got[0].Since
		if age := time.Since(since); age < -time.Minute || age > 10*time.Minute {
			t.Errorf("it is declared since %s", since)
		}
		if got[0].DeclaredAgo < 0 || got[0].ConsumedAgo < 0 || got[1].ConsumedAgo >= 0 {
			t.Errorf("ago: %+v", got)
		}

		// A later build wants another type and another queue.
		declare(reaction("greet", "q", "B"))
		both := reaction("greet", "q", "A", "B")
		got = want(t, s, both, rows)
		if !got[0].Since.Equal(since) {
			t.Errorf("it is declared since %s, not %s", got[0].Since, since)
		}
		if err := s.ForgetBindings(ctx, got[0], got[0].Bindings[0]); err != nil {
			t.Fatal(err)
		}
		if err := s.ForgetBindings(ctx, got[0]); err != nil {
			t.Fatal(err)
		}
		moved := reaction("greet", "r", "B")
		declare(moved)
		want(t, s, reaction("greet", "q", "B"), moved, rows)

		renamed := router.DeclaredHandler{Application: "shop", Name: "greet", Kind: router.KindReaction, Queue: "q", RenamedTo: "welcome"}
		if err := s.ForgetHandler(ctx, got[0], "welcome"); err != nil {
			t.Fatal(err)
		}
		want(t, s, renamed, moved, rows)
		for _, h := range []router.DeclaredHandler{renamed, moved, rows, rows} {
			if err := s.ForgetHandler(ctx, h, ""); err != nil {
				t.Fatal(err)
			}
		}
		want(t, s)
	})
}
