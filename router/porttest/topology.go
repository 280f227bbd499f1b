package porttest

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/pitwheel/pitwheel/router"
)

// TestTopology checks an implementation of [router.Topology].
func TestTopology(t *testing.T, open func(t *testing.T) router.Topology) {
	s := suite[router.Topology]{t, open}
	s.run("a handler is recorded by name and queue, whatever declared it last", func(t *testing.T, top router.Topology) {
		ctx := t.Context()
		wantDeclared(t, top)
		greet := declaredReaction("greet", "q", placed)
		greet.Ordered = true
		rows := router.DeclaredHandler{Application: "shop", Name: "rows", Kind: router.KindProjection, Bindings: []router.Binding{{Type: placed}}}
		for range 2 {
			must(t, top.DeclareHandlers(ctx, rows, greet))
			wantDeclared(t, top, greet, rows)
		}
		greet.Ordered = false
		moved := declaredReaction("greet", "r", placed)
		must(t, top.DeclareHandlers(ctx, greet, moved))
		wantDeclared(t, top, greet, moved, rows)
		must(t, top.DeclareHandlers(ctx))
		wantDeclared(t, top, greet, moved, rows)
	})
	s.run("bindings of former builds stay until they are forgotten", func(t *testing.T, top router.Topology) {
		ctx := t.Context()
		must(t, top.DeclareHandlers(ctx, declaredReaction("greet", "q", placed)))
		must(t, top.DeclareHandlers(ctx, declaredReaction("greet", "q", shipped)))
		both := declaredReaction("greet", "q", placed, shipped)
		wantDeclared(t, top, both)
		for range 2 {
			must(t, top.ForgetBindings(ctx, both, both.Bindings[0]))
			wantDeclared(t, top, declaredReaction("greet", "q", shipped))
		}
		must(t, top.ForgetBindings(ctx, both))
		wantDeclared(t, top, declaredReaction("greet", "q", shipped))
	})
	s.run("what is forgotten leaves the name of the one that it was renamed to", func(t *testing.T, top router.Topology) {
		ctx := t.Context()
		greet, other := declaredReaction("greet", "q", placed), declaredReaction("greet", "r", placed)
		must(t, top.DeclareHandlers(ctx, greet, other))
		must(t, top.ForgetHandler(ctx, greet, "welcome"))
		renamed := declaredReaction("greet", "q")
		renamed.RenamedTo = "welcome"
		wantDeclared(t, top, renamed, other)
		must(t, top.DeclareHandlers(ctx, greet)) // It is in force again.
		wantDeclared(t, top, greet, other)
		for range 2 {
			must(t, top.ForgetHandler(ctx, greet, ""))
			wantDeclared(t, top, other)
		}
	})
	s.run("it is known how long ago a handler was declared, and consumed", func(t *testing.T, top router.Topology) {
		ctx := t.Context()
		before := time.Now()
		declared, consumed := declaredReaction("a", "q", placed), declaredReaction("b", "r", placed)
		consumed.Consumed = true
		must(t, top.DeclareHandlers(ctx, declared, consumed))
		consumed.Consumed = false // Another instance does not consume it.
		must(t, top.DeclareHandlers(ctx, consumed))
		got := get[[]router.DeclaredHandler](t)(top.DeclaredHandlers(ctx))
		if len(got) != 2 {
			t.Fatalf("recorded are %+v", got)
		}
		most := time.Since(before) + 10*time.Second // The store's clock may be another one.
		for _, ago := range []time.Duration{got[0].DeclaredAgo, got[0].Bindings[0].DeclaredAgo, got[1].ConsumedAgo} {
			if ago < 0 || ago > most {
				t.Errorf("it was %s ago", ago)
			}
		}
		if got[0].ConsumedAgo >= 0 {
			t.Errorf("a handler that nobody has consumed was consumed %s ago", got[0].ConsumedAgo)
		}
		since := got[0].Since
		must(t, top.DeclareHandlers(ctx, declared))
		if got := get[[]router.DeclaredHandler](t)(top.DeclaredHandlers(ctx)); !got[0].Since.Equal(since) || since.IsZero() {
			t.Errorf("it is declared since %s, and after another declaration since %s", since, got[0].Since)
		}
	})
}

func declaredReaction(name, queue string, types ...string) router.DeclaredHandler {
	h := router.DeclaredHandler{Application: "shop", Name: name, Kind: router.KindReaction, Queue: queue}
	for _, t := range types {
		h.Bindings = append(h.Bindings, router.Binding{Topic: eventTopic, Type: t})
	}
	return h
}

// wantDeclared compares what is recorded, apart from times.
func wantDeclared(t *testing.T, top router.Topology, want ...router.DeclaredHandler) {
	t.Helper()
	got := get[[]router.DeclaredHandler](t)(top.DeclaredHandlers(t.Context()))
	if diff := cmp.Diff(want, got, cmpopts.IgnoreTypes(time.Time{}, time.Duration(0)), cmpopts.EquateEmpty()); diff != "" {
		t.Fatalf("recorded (-want +got):\n%s", diff)
	}
}
