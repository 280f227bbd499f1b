package poison_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router/poison"
)

func TestAdmin_Retry(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		// arrange gets the fixture and its five messages.
		arrange func(t *testing.T, f *fixture, all []poison.Message)
		tally   [5]int // matched, done, failed again, failed, problems
		err     error
		left    int
		check   func(t *testing.T, f *fixture, all []poison.Message, tally poison.Tally)
	}{
		{name: "each goes to the queue of its handler, as it was", tally: [5]int{5, 5, 0, 0, 0}, check: func(t *testing.T, f *fixture, all []poison.Message, _ poison.Tally) {
			for i, m := range f.queues.published {
				if f.queues.topics[i] != "greetings" || m.UUID != all[i].MessageID || string(m.Payload) != string(all[i].Body) || m.Metadata[poison.MetaRetried] != "1" {
					t.Errorf("message %d was published to %s as %+v", i, f.queues.topics[i], m)
				}
			}
		}},
		{name: "nothing is removed before it is confirmed", arrange: func(t *testing.T, f *fixture, _ []poison.Message) {
			f.queues.before = func(string, []string) error {
				if n := f.left(t); n != 5 {
					t.Errorf("%d messages are in the store when they are published", n)
				}
				return nil
			}
		}, tally: [5]int{5, 5, 0, 0, 0}},
		{name: "the broker is away", arrange: func(_ *testing.T, f *fixture, _ []poison.Message) {
			f.queues.before = func(string, []string) error { return errAway }
		}, tally: [5]int{5, 0, 0, 0, 0}, err: errAway, left: 5},
		{name: "the confirmation is lost", arrange: func(_ *testing.T, f *fixture, _ []poison.Message) {
			f.queues.after = once[string, []string](errAway)
		}, tally: [5]int{5, 0, 0, 0, 0}, err: errAway, left: 5},
		{name: "the store is away when they are to be removed", arrange: func(_ *testing.T, f *fixture, _ []poison.Message) {
			f.store.before = func(call string) error {
				if call == "remove" {
					return errAway
				}
				return nil
			}
		}, tally: [5]int{5, 0, 0, 0, 0}, err: errAway, left: 5},
		{name: "one that has failed again meanwhile is kept", arrange: func(t *testing.T, f *fixture, all []poison.Message) {
			f.queues.after = func(string, []string) error {
				f.keep(t, again(all[2]))
				return nil
			}
		}, tally: [5]int{5, 4, 1, 0, 0}, left: 1},
		{name: "one that somebody else has retried counts as done", arrange: func(t *testing.T, f *fixture, all []poison.Message) {
			f.store.before = func(call string) error {
				m, err := f.store.Store.LoadPoison(t.Context(), all[2].ID)
				if err == nil && call == "load" {
					_, err = f.store.Store.RemovePoison(t.Context(), poison.Change{}, m...)
				}
				return err
			}
		}, tally: [5]int{5, 5, 0, 0, 0}, check: func(t *testing.T, f *fixture, all []poison.Message, _ poison.Tally) {
			if slices.Contains(f.queues.ids(), all[2].MessageID) {
				t.Error("it is published once more")
			}
		}},
		{name: "one that the broker can never accept does not keep the others", arrange: func(_ *testing.T, f *fixture, all []poison.Message) {
			f.queues.before = func(_ string, ids []string) error {
				if slices.Contains(ids, all[1].MessageID) {
					return events.Errorf(events.CodeInvalid, "its headers are too large")
				}
				return nil
			}
		}, tally: [5]int{5, 4, 0, 1, 1}, left: 1, check: func(t *testing.T, _ *fixture, all []poison.Message, tally poison.Tally) {
			if p := tally.Problems[0]; p.First.ID != all[1].ID || !strings.Contains(p.Err.Error(), all[1].ID+": its headers") {
				t.Errorf("the problem is %+v", p)
			}
		}},
		{name: "a queue that does not exist", arrange: func(_ *testing.T, f *fixture, _ []poison.Message) {
			f.queues.missing["greetings"] = true
		}, tally: [5]int{5, 0, 0, 5, 1}, left: 5, check: func(t *testing.T, _ *fixture, _ []poison.Message, tally poison.Tally) {
			if p := tally.Problems[0]; p.Count != 5 || events.CodeOf(p.Err) != events.CodeUnhandled {
				t.Errorf("the problem is %+v", p)
			}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			all := f.fill(t, 5, nil)
			p := f.plan(t)
			if tt.arrange != nil {
				tt.arrange(t, f, all)
			}
			tally, err := f.Retry(t.Context(), p, poison.Options{})
			if !errors.Is(err, tt.err) {
				t.Errorf("the error is %v, want %v", err, tt.err)
			}
			check(t, tally, tt.tally[0], tt.tally[1], tt.tally[2], tt.tally[3], tt.tally[4])
			if n := f.left(t); n != tt.left {
				t.Errorf("%d messages are left, want %d", n, tt.left)
			}
			if tt.check != nil {
				tt.check(t, f, all, tally)
			}
		})
	}
}

// A projection reads the log and has no queue.
func TestAdmin_RetryOfAProjection(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	all := f.fill(t, 3, func(i int, m *poison.Message) {
		if i > 0 {
			m.Handler, m.Queue, m.Kind = "directory", "directory", "projection"
		}
	})
	tally, err := f.Retry(t.Context(), f.plan(t), poison.Options{})
	if err != nil {
		t.Fatal(err)
	}
	check(t, tally, 3, 1, 0, 2, 1)
	if p := tally.Problems[0]; p.Count != 2 || p.First.Kind != "projection" || p.First.Body != nil || events.CodeOf(p.Err) != events.CodeInvalid {
		t.Errorf("the problem is %+v", p)
	}
	sameIDs(t, "published", f.queues.ids(), all[0].MessageID)
}
