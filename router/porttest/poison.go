package porttest

import (
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router"
	"github.com/pitwheel/pitwheel/router/poison"
)

// PoisonStore is a store that the router fills and package poison administers.
type PoisonStore interface {
	router.PoisonStore
	poison.Store
}

// TestPoisonStore checks an implementation of [router.PoisonStore] and [poison.Store].
func TestPoisonStore(t *testing.T, open func(t *testing.T) PoisonStore) {
	s := suite[PoisonStore]{t, open}
	s.run("an empty store counts none", func(t *testing.T, store PoisonStore) { wantPoison(t, store, nil) })
	s.run("messages are counted by handler", func(t *testing.T, store PoisonStore) {
		storePoison(t, store, poisoned("h", "1", 0), poisoned("h", "2", 0), poisoned("i", "1", 0))
		wantPoison(t, store, map[string]int{"h": 2, "i": 1})
	})
	s.run("it is known which messages are stored", func(t *testing.T, store PoisonStore) {
		storePoison(t, store, poisoned("h", "1", 0))
		has, err := store.HasPoison(t.Context(), poison.ID("h", "1"), poison.ID("h", "2"))
		if err != nil || !slices.Equal(has, []bool{true, false}) {
			t.Errorf("%v, %v; want only the first one", has, err)
		}
	})
	s.run("whatever a message contains, it is stored", func(t *testing.T, store PoisonStore) {
		m := poison.Message{ID: poison.ID("h", "1"), Handler: "h", Body: []byte{0, 255}, Metadata: map[string]string{"\xff": "\x00"}, Reason: "\xff"}
		storePoison(t, store, m)
		wantPoison(t, store, map[string]int{"h": 1})
	})
	s.run("a message is stored whole, and one that does not exist is left out", storesPoisonWhole)
	for name, then := range repeatedFailures() {
		s.run(name, func(t *testing.T, store PoisonStore) {
			first := poisoned("h", "1", 2)
			storePoison(t, store, first, first, then.failure, first, then.failure) // The broker may deliver each again.
			wantPoison(t, store, map[string]int{"h": 1})
			sameMessage(t, loadPoison(t, store, first.ID), then.want)
		})
	}
	s.run("a list has what the filter selects, in order", listsPoison)
	s.run("a message that has failed again is not removed", removesPoison)
	s.run("a message that was edited or removed is not edited", editsPoison)
	s.run("one operation at a time claims a message", claimsPoison)
	s.run("a message is imported only if it does not exist", importsPoison)
	s.run("each change is in the audit trail, the newest first", recordsPoisonChanges)
}

// repeatedFailures are failures of a message after the one at minute 2, and how it is
// stored then.
func repeatedFailures() map[string]struct{ failure, want poison.Message } {
	first, later, retried, earlier := poisoned("h", "1", 2), poisoned("h", "1", 5), poisoned("h", "1", 2), poisoned("h", "1", 1)
	later.Code, later.Body, later.Size = "PANIC", []byte("other"), 5
	wantLater := later
	wantLater.Failures, wantLater.FirstFailedAt = 2, first.FirstFailedAt
	retried.Failures, retried.Code = 8, "PANIC"
	wantEarlier := first
	wantEarlier.Failures, wantEarlier.FirstFailedAt = 2, earlier.FirstFailedAt
	return map[string]struct{ failure, want poison.Message }{
		"the same failure again changes nothing":                             {first, first},
		"a later failure replaces the error, and the first remains":          {later, wantLater},
		"an earlier failure that comes late is counted":                      {earlier, wantEarlier},
		"a retry may fail within the same millisecond, and brings its count": {retried, retried},
	}
}

func storesPoisonWhole(t *testing.T, store PoisonStore) {
	all := []poison.Message{poisoned("h", "1", 3), poisoned("h", "2", 2), poisoned("i", "1", 1)}
	storePoison(t, store, all...)
	got := get[[]poison.Message](t)(store.LoadPoison(t.Context(), all[2].ID, "unknown", all[0].ID))
	if len(got) != 2 {
		t.Fatalf("%d messages are loaded, want 2", len(got))
	}
	sameMessage(t, got[0], all[2])
	sameMessage(t, got[1], all[0])
	if got, err := store.LoadPoison(t.Context()); len(got) > 0 || err != nil {
		t.Errorf("without ids, %d messages are loaded: %v", len(got), err)
	}
}

func listsPoison(t *testing.T, store PoisonStore) {
	for i := range 12 {
		m := poisoned([]string{"a", "b", "c"}[i%3], fmt.Sprint(i), i)
		if i%2 == 0 {
			m.Code, m.CorrelationID = "PANIC", fmt.Sprint("story", i)
		}
		storePoison(t, store, m)
	}
	fields := func(pairs ...string) poison.Filter {
		f := poison.Filter{Fields: map[string][]string{}}
		for pair := range slices.Chunk(pairs, 2) {
			f.Fields[pair[0]] = append(f.Fields[pair[0]], pair[1])
		}
		return f
	}
	at := func(minute int) time.Time { return poisoned("", "", minute).LastFailedAt }
	for _, tt := range []struct {
		name   string
		filter poison.Filter
		order  poison.Order
		want   string
	}{
		{"all", poison.Filter{}, poison.OldestFirst, "0 1 2 3 4 5 6 7 8 9 10 11"},
		{"all, the newest first", poison.Filter{}, poison.NewestFirst, "11 10 9 8 7 6 5 4 3 2 1 0"},
		{"a handler", fields("handler", "b"), poison.OldestFirst, "1 4 7 10"},
		{"two handlers", fields("handler", "b", "handler", "c"), poison.NewestFirst, "11 10 8 7 5 4 2 1"},
		{"handler and code", fields("handler", "a", "code", "PANIC"), poison.OldestFirst, "0 6"},
		{"a correlation id", fields("correlation_id", "story4"), poison.OldestFirst, "4"},
		{"an unknown handler", fields("handler", "z"), poison.OldestFirst, ""},
		{"since", poison.Filter{After: at(9)}, poison.OldestFirst, "9 10 11"},
		{"before", poison.Filter{Before: at(2)}, poison.NewestFirst, "1 0"},
		{"between", poison.Filter{After: at(3), Before: at(5)}, poison.NewestFirst, "4 3"},
	} {
		var got []string
		for _, m := range collect(t, store.PoisonMessages(t.Context(), tt.filter, tt.order)) {
			if m.Body != nil || m.Metadata != nil || m.Stack != "" || m.Revision == 0 || m.Size == 0 || m.Failures != 1 {
				t.Errorf("%s: the list has %+v", tt.name, m)
			}
			got = append(got, m.MessageID)
		}
		if strings.Join(got, " ") != tt.want {
			t.Errorf("%s: %v, want %s", tt.name, got, tt.want)
		}
	}
}

func claimsPoison(t *testing.T, store PoisonStore) {
	ctx, id := t.Context(), func(n string) string { return poison.ID("h", n) }
	claim := func(operation string, want ...poison.Claim) {
		t.Helper()
		got := get[[]poison.Claim](t)(store.ClaimPoison(ctx, operation, time.Hour, id("1"), id("2"), "unknown"))
		if want = append(want, poison.Missing); !slices.Equal(got, want) {
			t.Errorf("the claims of %s ended with %v, want %v", operation, got, want)
		}
	}
	storePoison(t, store, poisoned("h", "1", 1), poisoned("h", "2", 2))
	claim("a", poison.Claimed, poison.Claimed)
	claim("b", poison.Held, poison.Held)
	claim("a", poison.Claimed, poison.Claimed)
	read := loadPoison(t, store, id("1"))
	if _, err := store.EditPoison(ctx, read, []byte("{}"), poison.Change{}); events.CodeOf(err) != events.CodeConflict {
		t.Errorf("editing a claimed message ended with %v", err)
	}
	must(t, store.UnclaimPoison(ctx, "b", id("1"), id("2")))
	claim("b", poison.Held, poison.Held)
	must(t, store.UnclaimPoison(ctx, "a", id("2"), "unknown"))
	claim("b", poison.Held, poison.Claimed)
	storePoison(t, store, poisoned("h", "1", 1)) // The failure is known.
	claim("b", poison.Held, poison.Claimed)
	storePoison(t, store, poisoned("h", "1", 5)) // It was retried, and has failed.
	claim("b", poison.Claimed, poison.Claimed)
	get[[]poison.Removal](t)(store.RemovePoison(ctx, poison.Change{Action: poison.Discarded}, loadPoison(t, store, id("1"))))
	claim("b", poison.Missing, poison.Claimed)
	storePoison(t, store, poisoned("h", "1", 7))
	claim("c", poison.Claimed, poison.Held)
	get[[]poison.Claim](t)(store.ClaimPoison(ctx, "c", time.Millisecond, id("1")))
	eventually(t, "the lease ends", func() bool {
		return get[[]poison.Claim](t)(store.ClaimPoison(ctx, "d", time.Hour, id("1")))[0] == poison.Claimed
	})
	if got, err := store.ClaimPoison(ctx, "a", time.Hour); len(got) > 0 || err != nil {
		t.Errorf("without ids the claims are %v, %v", got, err)
	}
	must(t, store.UnclaimPoison(ctx, "a"))
}

func removesPoison(t *testing.T, store PoisonStore) {
	ctx, change := t.Context(), poison.Change{Action: poison.Retried, Who: "ada"}
	remove := func(want []poison.Removal, msgs ...poison.Message) {
		t.Helper()
		if got := get[[]poison.Removal](t)(store.RemovePoison(ctx, change, msgs...)); !slices.Equal(got, want) {
			t.Errorf("the removals ended with %v, want %v", got, want)
		}
	}
	storePoison(t, store, poisoned("h", "1", 1), poisoned("h", "2", 2), poisoned("h", "3", 3), poisoned("h", "4", 4))
	read := collect(t, store.PoisonMessages(ctx, poison.Filter{}, poison.OldestFirst))
	storePoison(t, store, poisoned("h", "1", 7)) // It was retried, and failed, before it is removed.
	again := poisoned("h", "4", 4)               // So was this one, within the same millisecond.
	again.Failures = 2
	storePoison(t, store, again)
	remove([]poison.Removal{poison.Removed}, read[1])
	storePoison(t, store, poisoned("h", "2", 2)) // Removed, and stored anew: it is not the one that was read.
	remove([]poison.Removal{poison.Changed, poison.Changed, poison.Removed, poison.Changed}, read...)
	remove([]poison.Removal{poison.Gone}, read[2])
	remove(nil)
	wantPoison(t, store, map[string]int{"h": 3})
}

func editsPoison(t *testing.T, store PoisonStore) {
	storePoison(t, store, poisoned("h", "1", 1))
	read := loadPoison(t, store, poison.ID("h", "1"))
	edited := get[poison.Message](t)(store.EditPoison(t.Context(), read, []byte("mended"), poison.Change{Who: "ada"}))
	want := poisoned("h", "1", 1)
	want.Body, want.Size = []byte("mended"), 6
	sameMessage(t, edited, want)
	if again := loadPoison(t, store, read.ID); !cmp.Equal(edited, again) || again.Revision == read.Revision {
		t.Errorf("the edited message (-returned +stored):\n%s", cmp.Diff(edited, again))
	}
	_, err := store.EditPoison(t.Context(), read, []byte("mine"), poison.Change{})
	wantCode(t, "an edit of an old revision", err, events.CodeConflict)
	_, err = store.EditPoison(t.Context(), poisoned("h", "2", 1), nil, poison.Change{})
	wantCode(t, "an edit of a message that does not exist", err, events.CodeNotFound)
}

func importsPoison(t *testing.T, store PoisonStore) {
	storePoison(t, store, poisoned("h", "1", 1))
	for i, id := range []string{"1", "2", "2"} {
		m := poisoned("h", id, 5)
		m.Failures = 4
		if got := get[bool](t)(store.ImportPoison(t.Context(), m, poison.Change{})); got != (i == 1) {
			t.Errorf("import %d of message %s: %v", i, id, got)
		}
	}
	sameMessage(t, loadPoison(t, store, poison.ID("h", "1")), poisoned("h", "1", 1))
	want := poisoned("h", "2", 5)
	want.Failures = 4
	sameMessage(t, loadPoison(t, store, want.ID), want)
	wantPoison(t, store, map[string]int{"h": 2})
}

func recordsPoisonChanges(t *testing.T, store PoisonStore) {
	ctx, m, imported := t.Context(), poisoned("h", "1", 1), poisoned("h", "2", 2)
	if changes := collect(t, store.PoisonChanges(ctx)); len(changes) > 0 {
		t.Errorf("an empty store has the changes %v", changes)
	}
	storePoison(t, store, m)
	old := loadPoison(t, store, m.ID)
	read := get[poison.Message](t)(store.EditPoison(ctx, old, []byte("mended"), poison.Change{Who: "ada", Why: "a typo"}))
	for range 2 { // What changes nothing is not recorded.
		get[bool](t)(store.ImportPoison(ctx, imported, poison.Change{Who: "bob"}))
		get[[]poison.Removal](t)(store.RemovePoison(ctx, poison.Change{Action: poison.Discarded, Who: "ada", Why: "ö"}, old, read))
	}
	want := []poison.Change{
		poison.Change{Action: poison.Discarded, Who: "ada", Why: "ö"}.Of(m),
		poison.Change{Action: poison.Imported, Who: "bob"}.Of(imported),
		poison.Change{Action: poison.Edited, Who: "ada", Why: "a typo"}.Of(m),
	}
	got := collect(t, store.PoisonChanges(ctx))
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(poison.Change{}, "At")); diff != "" {
		t.Errorf("the audit trail (-want +got):\n%s", diff)
	}
	for _, c := range got {
		if time.Since(c.At).Abs() > time.Hour || c.At.Location() != time.UTC {
			t.Errorf("a change was recorded as made at %s", c.At)
		}
	}
}

func storePoison(t *testing.T, store PoisonStore, msgs ...poison.Message) {
	t.Helper()
	for _, m := range msgs {
		must(t, store.StorePoison(t.Context(), m))
	}
}

func loadPoison(t *testing.T, store PoisonStore, id string) poison.Message {
	t.Helper()
	found := get[[]poison.Message](t)(store.LoadPoison(t.Context(), id))
	if len(found) != 1 {
		t.Fatalf("%d messages have the id %s", len(found), id)
	}
	return found[0]
}

func sameMessage(t *testing.T, got, want poison.Message) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(poison.Message{}, "Revision")); diff != "" || got.Revision == 0 {
		t.Errorf("revision %d (-want +got):\n%s", got.Revision, diff)
	}
}

func collect[T any](t *testing.T, seq iter.Seq2[T, error]) []T {
	t.Helper()
	var out []T
	for v, err := range seq {
		must(t, err)
		out = append(out, v)
	}
	return out
}

func wantPoison(t *testing.T, store PoisonStore, want map[string]int) {
	t.Helper()
	got := get[map[string]int](t)(store.CountPoison(t.Context()))
	for handler := range got {
		if got[handler] != want[handler] {
			t.Errorf("%s has %d poison messages; want %d", handler, got[handler], want[handler])
		}
	}
	for handler := range want {
		if _, ok := got[handler]; !ok {
			t.Errorf("%s is missing in %v", handler, got)
		}
	}
}

// poisoned returns a message of a handler that failed at a minute.
func poisoned(handler, id string, minute int) poison.Message {
	at := time.Date(2026, 11, 24, 10, minute, 0, 0, time.UTC)
	body := []byte(`{"name":"Ada <` + id + `>","raw":"` + "\xff" + `"}`)
	return poison.Message{
		ID: poison.ID(handler, id), Handler: handler, Kind: "reaction", Queue: handler + "-queue", Topic: "order.events", Type: "ORDER_PLACED", Key: "7",
		MessageID: id, CorrelationID: "story", Code: "TIMEOUT", Reason: "too slow", Frame: "main.f f.go:1", Stack: "stack", Source: poison.FromRouter,
		Attempts: 5, Failures: 1, FirstFailedAt: at, LastFailedAt: at, Size: len(body),
		Metadata: map[string]string{"type": "ORDER_PLACED", "own": "ö\n"}, Body: body,
	}
}
