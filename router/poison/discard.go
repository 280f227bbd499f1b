package poison

import (
	"context"
	"errors"
	"slices"

	"github.com/pitwheel/pitwheel/events"
)

// Discard removes the messages of a plan permanently. What waits behind one of them, in a
// handler that keeps the order of its keys, is released first. A message that has failed
// again or was edited since the plan is kept, which is a problem in the tally.
//
// An error means that the operation ended early; the tally says how far it came. If ctx
// ends, the batch in progress is finished and ctx's error returned. Discarding the same
// selection again continues with what is left.
func (a *Admin) Discard(ctx context.Context, p Plan, o Options) (Tally, error) {
	r := releaser{a, map[string]bool{}}
	change := Change{Action: Discarded, Who: o.Who, Why: o.Why}
	return a.run(ctx, p, o, func(ctx context.Context, messages []Message, t *Tally) error {
		if err := r.release(ctx, messages); err != nil {
			return err
		}
		whole, err := a.whole(ctx, messages)
		if err != nil {
			return err
		}
		kept := map[string]bool{}
		removals, err := a.store.RemovePoison(ctx, change, messages...)
		for i, is := range removals {
			if is == Changed {
				kept[messages[i].ID] = true
				t.fail(events.Errorf(events.CodeConflict, "the message has failed again or was edited meanwhile, so it is kept"), messages[i])
			} else {
				t.Done++
			}
		}
		if len(removals) > 0 {
			// After the removal: a message that is not removed after all must stay open.
			gone := slices.DeleteFunc(whole, func(m Message) bool { return kept[m.ID] })
			err = errors.Join(err, a.discarded(ctx, gone))
		}
		return err
	})
}
