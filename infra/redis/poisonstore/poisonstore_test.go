package poisonstore_test

import (
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pitwheel/pitwheel/infra/redis/internal/redistest"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/redis"
	"github.com/pitwheel/pitwheel/router/poison"
)

// longAgo is when messages of these tests fail first.
var longAgo = time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC)

// failed returns a poison message of a handler that failed n minutes after longAgo.
func failed(handler, message string, n int) poison.Message {
	body := []byte(`{"name":"Ada <` + message + `>","raw":"` + "\xff" + `"}`)
	return poison.Message{
		ID: poison.ID(handler, message), Handler: handler, Kind: "reaction", Queue: handler + "-queue", Topic: "user.events",
		Type: "USER_CREATED", Key: "ada", MessageID: message, CorrelationID: "story", Code: "TIMEOUT", Reason: "too slow", Frame: "main.f f.go:1",
		Stack: "stack", Source: poison.FromRouter, Attempts: 5, Failures: 1,
		FirstFailedAt: longAgo.Add(time.Duration(n) * time.Minute), LastFailedAt: longAgo.Add(time.Duration(n) * time.Minute),
		Size: len(body), Metadata: map[string]string{"type": "USER_CREATED", "own": "ö\n"}, Body: body,
	}
}

func collect[T any](t *testing.T, seq iter.Seq2[T, error]) []T {
	t.Helper()
	var out []T
	for v, err := range seq {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, v)
	}
	return out
}

func store(t *testing.T, s *redis.Store, msgs ...poison.Message) {
	t.Helper()
	for _, l := range msgs {
		if err := s.StorePoison(t.Context(), l); err != nil {
			t.Fatal(err)
		}
	}
}

func TestPoisonStore_KeepsAMessageWholeAndOnce(t *testing.T) {
	t.Parallel()
	redistest.OnEach(t, func(t *testing.T, url string) {
		s, ctx := redistest.Open(t, url), t.Context()
		first := failed("h", "m", 1)
		store(t, s, first, first) // The broker may deliver it again.
		got := redistest.Must[poison.Message](t)(s.PoisonMessage(ctx, first.ID))
		if diff := cmp.Diff(first, got, cmpopts.IgnoreFields(poison.Message{}, "Revision")); diff != "" {
			t.Errorf("kept otherwise than given (-given +kept):\n%s", diff)
		}
		// It fails again: the later failure replaces what the error was, the first one stays first.
		later := failed("h", "m", 5)
		later.Code, later.Body = "PANIC", []byte("other")
		later.Size = len(later.Body)
		store(t, s, later, first, later)
		got = redistest.Must[poison.Message](t)(s.PoisonMessage(ctx, first.ID))
		want := later
		want.Failures, want.FirstFailedAt = 2, first.FirstFailedAt
		if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(poison.Message{}, "Revision")); diff != "" {
			t.Errorf("after another failure (-want +kept):\n%s", diff)
		}
		// A failure that arrives in the wrong order is counted, and changes nothing else.
		store(t, s, failed("h", "m", 3))
		got = redistest.Must[poison.Message](t)(s.PoisonMessage(ctx, first.ID))
		want.Failures = 3
		if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(poison.Message{}, "Revision")); diff != "" {
			t.Errorf("after a failure that came late (-want +kept):\n%s", diff)
		}
		// A retried message brings its number of failures along.
		retried := failed("h", "m", 9)
		retried.Failures = 8
		store(t, s, retried)
		if got = redistest.Must[poison.Message](t)(s.PoisonMessage(ctx, first.ID)); got.Failures != 8 {
			t.Errorf("%d failures, want 8", got.Failures)
		}
		heads := collect(t, s.PoisonMessages(ctx, poison.Filter{}, poison.NewestFirst))
		if len(heads) != 1 || heads[0].Body != nil || heads[0].Metadata != nil || heads[0].Stack != "" || heads[0].Failures != 8 || heads[0].Size != len(retried.Body) {
			t.Errorf("the list is %+v", heads)
		}
		if diff := cmp.Diff(map[string]int{"h": 1}, redistest.Must[map[string]int](t)(s.CountPoison(ctx))); diff != "" {
			t.Error(diff)
		}
		if _, err := s.PoisonMessage(ctx, poison.ID("h", "other")); events.CodeOf(err) != events.CodeNotFound {
			t.Errorf("a message that does not exist: %v", err)
		}
	})
}

func TestPoisonStore_PoisonMessages_Filters(t *testing.T) {
	t.Parallel()
	redistest.OnEach(t, func(t *testing.T, url string) {
		s, ctx := redistest.Open(t, url), t.Context()
		for i := range 12 {
			l := failed([]string{"a", "b", "c"}[i%3], fmt.Sprint("m", i), i)
			if i%2 == 0 {
				l.Code, l.CorrelationID = "PANIC", fmt.Sprint("story", i)
			}
			store(t, s, l)
		}
		fields := func(pairs ...string) poison.Filter {
			f := poison.Filter{Fields: map[string][]string{}}
			for i := 0; i < len(pairs); i += 2 {
				f.Fields[pairs[i]] = append(f.Fields[pairs[i]], pairs[i+1])
			}
			return f
		}
		for _, tt := range []struct {
			name   string
			filter poison.Filter
			order  poison.Order
			want   string
		}{
			{"all", poison.Filter{}, poison.OldestFirst, "m0 m1 m2 m3 m4 m5 m6 m7 m8 m9 m10 m11"},
			{"all, the newest first", poison.Filter{}, poison.NewestFirst, "m11 m10 m9 m8 m7 m6 m5 m4 m3 m2 m1 m0"},
			{"a handler", fields("handler", "b"), poison.OldestFirst, "m1 m4 m7 m10"},
			{"two handlers", fields("handler", "b", "handler", "c"), poison.NewestFirst, "m11 m10 m8 m7 m5 m4 m2 m1"},
			{"handler and code", fields("handler", "a", "code", "PANIC"), poison.OldestFirst, "m0 m6"},
			{"a story", fields("correlation_id", "story4"), poison.OldestFirst, "m4"},
			{"nobody", fields("handler", "z"), poison.OldestFirst, ""},
			{"since", poison.Filter{After: longAgo.Add(9 * time.Minute)}, poison.OldestFirst, "m9 m10 m11"},
			{"before", poison.Filter{Before: longAgo.Add(2 * time.Minute)}, poison.NewestFirst, "m1 m0"},
			{"between", poison.Filter{After: longAgo.Add(3 * time.Minute), Before: longAgo.Add(5 * time.Minute)}, poison.NewestFirst, "m4 m3"},
		} {
			var got []string
			for _, l := range collect(t, s.PoisonMessages(ctx, tt.filter, tt.order)) {
				got = append(got, l.MessageID)
			}
			if strings.Join(got, " ") != tt.want {
				t.Errorf("%s: %v, want %s", tt.name, got, tt.want)
			}
		}
	})
}

// A list of many messages that failed in the same millisecond is complete, also
// while they are removed.
func TestPoisonStore_ManyMessages(t *testing.T) {
	t.Parallel()
	redistest.OnEach(t, func(t *testing.T, url string) {
		n := 3000
		if strings.HasSuffix(t.Name(), "/embedded") {
			n = 1100 // It is slow in keeping things sorted.
		}
		s, ctx := redistest.Open(t, url), t.Context()
		var all sync.WaitGroup
		for w := range 10 {
			all.Go(func() {
				for i := w; i < n; i += 10 {
					if err := s.StorePoison(ctx, failed("h", fmt.Sprint(i), i/2000)); err != nil {
						t.Error(err)
					}
				}
			})
		}
		all.Wait()
		for _, order := range []poison.Order{poison.OldestFirst, poison.NewestFirst} {
			seen := map[string]bool{}
			for _, l := range collect(t, s.PoisonMessages(ctx, poison.Filter{}, order)) {
				seen[l.ID] = true
			}
			if len(seen) != n {
				t.Errorf("%d messages are listed, not %d", len(seen), n)
			}
		}
		var batch []poison.Message
		for l, err := range s.PoisonMessages(ctx, poison.Filter{}, poison.OldestFirst) {
			if err != nil {
				t.Fatal(err)
			}
			if batch = append(batch, l); len(batch) < 100 {
				continue
			}
			for _, r := range redistest.Must[[]poison.Removal](t)(s.RemovePoison(ctx, poison.Change{Action: poison.Discarded}, batch...)) {
				if r != poison.Removed {
					t.Fatalf("a message is not removed: %d", r)
				}
			}
			batch = nil
		}
		if left := redistest.Must[map[string]int](t)(s.CountPoison(ctx)); len(left) > 0 {
			t.Errorf("%v are left", left)
		}
		if changes := collect(t, s.PoisonChanges(ctx)); len(changes) != n {
			t.Errorf("%d changes, want %d", len(changes), n)
		}
	})
}

func TestPoisonStore_RemovePoison_FailedAgain(t *testing.T) {
	t.Parallel()
	redistest.OnEach(t, func(t *testing.T, url string) {
		s, ctx := redistest.Open(t, url), t.Context()
		a, b, c := failed("h", "a", 1), failed("h", "b", 2), failed("h", "c", 3)
		store(t, s, a, b, c)
		read := collect(t, s.PoisonMessages(ctx, poison.Filter{}, poison.OldestFirst))
		store(t, s, failed("h", "a", 7)) // It was retried, and failed, before it is removed.
		change := poison.Change{Action: poison.Retried, Who: "ada@host", Why: "mended"}
		if got := redistest.Must[[]poison.Removal](t)(s.RemovePoison(ctx, change, read[1])); !slices.Equal(got, []poison.Removal{poison.Removed}) {
			t.Fatalf("the removal ended with %v", got)
		}
		store(t, s, b) // Removed, and stored anew: it is not the one that was read.
		got := redistest.Must[[]poison.Removal](t)(s.RemovePoison(ctx, change, read...))
		if want := []poison.Removal{poison.Changed, poison.Changed, poison.Removed}; !slices.Equal(got, want) {
			t.Errorf("the removals ended with %v, want %v", got, want)
		}
		if got := redistest.Must[[]poison.Removal](t)(s.RemovePoison(ctx, change, read[2])); got[0] != poison.Gone {
			t.Errorf("the second removal ended with %v", got)
		}
		if diff := cmp.Diff(map[string]int{"h": 2}, redistest.Must[map[string]int](t)(s.CountPoison(ctx))); diff != "" {
			t.Error(diff)
		}
		want := []poison.Change{change, change}
		for i, l := range []poison.Message{c, b} { // The newest first.
			want[i].PoisonID, want[i].Handler, want[i].Type, want[i].Key, want[i].MessageID, want[i].Code = l.ID, "h", l.Type, l.Key, l.MessageID, l.Code
		}
		changes := collect(t, s.PoisonChanges(ctx))
		if diff := cmp.Diff(want, changes, cmpopts.IgnoreFields(poison.Change{}, "At")); diff != "" {
			t.Errorf("another audit trail than wanted (-want +got):\n%s", diff)
		}
		if time.Since(changes[0].At).Abs() > time.Minute {
			t.Errorf("it happened at %s", changes[0].At)
		}
	})
}

func TestPoisonStore_EditAndImport(t *testing.T) {
	t.Parallel()
	redistest.OnEach(t, func(t *testing.T, url string) {
		s, ctx := redistest.Open(t, url), t.Context()
		store(t, s, failed("h", "a", 1))
		read := redistest.Must[poison.Message](t)(s.PoisonMessage(ctx, poison.ID("h", "a")))
		edited := redistest.Must[poison.Message](t)(s.EditPoison(ctx, read, []byte("mended"), poison.Change{Who: "ada@host"}))
		again := redistest.Must[poison.Message](t)(s.PoisonMessage(ctx, read.ID))
		if diff := cmp.Diff(edited, again); diff != "" || string(again.Body) != "mended" || again.Size != 6 {
			t.Errorf("the edited message is kept otherwise (-returned +kept):\n%s", diff)
		}
		if _, err := s.EditPoison(ctx, read, []byte("mine"), poison.Change{}); events.CodeOf(err) != events.CodeConflict {
			t.Errorf("an edit of an old revision: %v", err)
		}
		if _, err := s.EditPoison(ctx, failed("h", "other", 1), nil, poison.Change{}); events.CodeOf(err) != events.CodeNotFound {
			t.Errorf("an edit of a message that does not exist: %v", err)
		}
		for i, want := range []bool{false, true, false} {
			l := failed("h", []string{"a", "new", "new"}[i], 1)
			l.Failures = 4
			if got := redistest.Must[bool](t)(s.ImportPoison(ctx, l, poison.Change{Who: "ada@host"})); got != want {
				t.Errorf("import %d: %v, want %v", i, got, want)
			}
		}
		if l := redistest.Must[poison.Message](t)(s.PoisonMessage(ctx, poison.ID("h", "new"))); l.Failures != 4 {
			t.Errorf("the imported message is %+v", l)
		}
		var actions []string
		for _, c := range collect(t, s.PoisonChanges(ctx)) {
			actions = append(actions, c.Action)
		}
		if !slices.Equal(actions, []string{poison.Imported, poison.Edited}) {
			t.Errorf("the audit trail has %v", actions)
		}
	})
}
