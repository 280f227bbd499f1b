package poison_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router/poison"
)

// park makes a message the blocker of its key and parks another one behind it.
func (f *fixture) park(t *testing.T, m poison.Message, id string) {
	t.Helper()
	if _, err := f.parking.BlockKey(t.Context(), m.Handler, m.Key, m.MessageID); err != nil {
		t.Fatal(err)
	}
	if _, err := f.parking.ParkMessage(t.Context(), m.Handler, m.Key, id, message.NewMessage(id, nil)); err != nil {
		t.Fatal(err)
	}
}

func (f *fixture) blocker(t *testing.T, m poison.Message) string {
	t.Helper()
	id, err := f.parking.KeyBlocker(t.Context(), m.Handler, m.Key)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func TestAdmin_Discard(t *testing.T) {
	t.Parallel()
	start := func(t *testing.T) (*fixture, []poison.Message, poison.Plan) {
		t.Helper()
		f := newFixture(t)
		all := f.fill(t, 5, nil)
		f.park(t, all[1], "follower")
		return f, all, f.plan(t)
	}
	t.Run("what waits behind a message is released before that is removed", func(t *testing.T) {
		t.Parallel()
		f, all, p := start(t)
		f.queues.before = func(queue string, ids []string) error {
			if n := f.left(t); n != 5 || queue != "greetings" || !slices.Equal(ids, []string{"follower"}) {
				t.Errorf("%d messages are in the store when %v is published to %s", n, ids, queue)
			}
			return nil
		}
		tally, err := f.Discard(t.Context(), p, poison.Options{})
		if err != nil {
			t.Fatal(err)
		}
		check(t, tally, 5, 5, 0, 0, 0)
		if f.left(t) != 0 || len(f.queues.published) != 1 || f.queues.published[0].Metadata[events.MetaParked] == "" {
			t.Errorf("%d messages are left, and published is %v", f.left(t), f.queues.published)
		}
		if id := f.blocker(t, all[1]); id != "follower" {
			t.Errorf("the key waits for %q", id)
		}
	})
	t.Run("the broker is away", func(t *testing.T) {
		t.Parallel()
		f, all, p := start(t)
		f.queues.away = errAway
		tally, err := f.Discard(t.Context(), p, poison.Options{})
		if !errors.Is(err, errAway) || f.left(t) != 5 {
			t.Errorf("the error is %v, and %d messages are left", err, f.left(t))
		}
		check(t, tally, 5, 0, 0, 0, 0)
		if id := f.blocker(t, all[1]); id != all[1].MessageID {
			t.Errorf("the key is released, it waits for %q", id)
		}
	})
	t.Run("the broker is away, and nothing waits", func(t *testing.T) {
		t.Parallel()
		f := newFixture(t)
		f.fill(t, 5, nil)
		f.queues.away = errAway
		if _, err := f.Discard(t.Context(), f.plan(t), poison.Options{}); err != nil || f.left(t) != 0 {
			t.Errorf("the error is %v, and %d messages are left", err, f.left(t))
		}
	})
	t.Run("the answer is lost, and the discard repeated", func(t *testing.T) {
		t.Parallel()
		f, _, p := start(t)
		f.queues.after = once[string, []string](errAway)
		if _, err := f.Discard(t.Context(), p, poison.Options{}); !errors.Is(err, errAway) || f.left(t) != 5 {
			t.Errorf("the error is %v, and %d messages are left", err, f.left(t))
		}
		if _, err := f.Discard(t.Context(), p, poison.Options{}); err != nil || f.left(t) != 0 {
			t.Errorf("the second time the error is %v, and %d messages are left", err, f.left(t))
		}
		if n := f.queues.times("follower"); n != 2 {
			t.Errorf("what waited was published %d times", n)
		}
	})
	t.Run("a message that has failed again is kept, and so is what waits behind it", func(t *testing.T) {
		t.Parallel()
		f, all, _ := start(t)
		p := f.plan(t, all[0].ID, all[1].ID)
		f.keep(t, again(all[1]))
		tally, err := f.Discard(t.Context(), p, poison.Options{})
		if err != nil {
			t.Fatal(err)
		}
		check(t, tally, 2, 1, 0, 1, 1)
		if code := events.CodeOf(tally.Problems[0].Err); code != events.CodeConflict || tally.Problems[0].First.ID != all[1].ID {
			t.Errorf("the problem is %+v", tally.Problems[0])
		}
		if f.left(t) != 4 || len(f.queues.published) > 0 || f.blocker(t, all[1]) != all[1].MessageID {
			t.Errorf("%d messages are left, and %v is published", f.left(t), f.queues.ids())
		}
	})
	t.Run("without parking", func(t *testing.T) {
		t.Parallel()
		f, _, p := start(t)
		admin, err := poison.New(poison.Config{Store: f.store, Queues: f.queues})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := admin.Discard(t.Context(), p, poison.Options{}); err != nil || f.left(t) != 0 || len(f.queues.published) > 0 {
			t.Errorf("the error is %v, %d messages are left, and %v is published", err, f.left(t), f.queues.ids())
		}
	})
}
