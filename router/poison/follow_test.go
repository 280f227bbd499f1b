package poison_test

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router/poison"
)

// follow retries all messages and follows them. At each look, the handler has processed
// the messages that handled returns.
func (f *fixture) follow(ctx context.Context, t *testing.T, handled func(look int) []string) (poison.Tally, error) {
	t.Helper()
	var retried []poison.Message
	tally, err := f.Retry(t.Context(), f.plan(t), poison.Options{Retried: func(m []poison.Message) { retried = append(retried, m...) }})
	if err != nil {
		t.Fatal(err)
	}
	look := 0
	return f.Follow(ctx, tally, retried, func(_ context.Context, messages []poison.Message) ([]bool, error) {
		look++
		out := make([]bool, len(messages))
		for i, m := range messages {
			for _, id := range handled(look) {
				out[i] = out[i] || id == m.MessageID
			}
			if m.Body != nil {
				t.Error("a body is kept")
			}
		}
		return out, nil
	})
}

func TestAdmin_Follow(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	all := f.fill(t, 5, nil)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	tally, err := f.follow(ctx, t, func(look int) []string {
		switch look {
		case 1:
			f.keep(t, again(all[1]))
			return []string{all[0].MessageID, all[1].MessageID} // It has failed again, whatever came before.
		case 2:
			m := again(all[2])
			m.Code, m.Reason = "UNAVAILABLE", "still down"
			f.keep(t, m)
			return []string{all[3].MessageID}
		}
		cancel() // Nothing is ever known of the fifth.
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	check(t, tally, 5, 3, 2, 0, 2)
	if diff := cmp.Diff(&poison.Followed{Handled: 2, Unknown: 1}, tally.Followed); diff != "" {
		t.Errorf("followed (-want +got):\n%s", diff)
	}
	for i, code := range []string{"TIMEOUT", "UNAVAILABLE"} {
		if p := tally.Problems[i]; events.CodeOf(p.Err) != code || p.Count != 1 || p.First.Body != nil {
			t.Errorf("problem %d is %+v", i, p)
		}
	}
	if n := f.left(t); n != 2 {
		t.Errorf("%d messages are kept, not 2", n)
	}
}

// It ends as soon as all is known.
func TestAdmin_FollowEnds(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	all := f.fill(t, 2, nil)
	tally, err := f.follow(t.Context(), t, func(int) []string { return []string{all[0].MessageID, all[1].MessageID} })
	if err != nil || tally.Handled != 2 || tally.Unknown != 0 || tally.Done != 2 {
		t.Errorf("%v %+v", err, tally)
	}
}

func TestAdmin_FollowWithoutStore(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.fill(t, 2, nil)
	tally, err := f.follow(t.Context(), t, func(int) []string {
		f.store.before = func(string) error { return errAway }
		return nil
	})
	if !errors.Is(err, errAway) || tally.Done != 2 || tally.Followed == nil || tally.Unknown != 2 {
		t.Errorf("%v %+v", err, tally)
	}
}
