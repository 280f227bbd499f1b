package poison

import (
	"context"
	"time"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router/backoff"
)

const (
	// claimLease is how long what a process that has died was working on stays claimed. A
	// batch takes no longer than batchTimeout, which is shorter.
	claimLease = time.Minute
	// claimPatience is how long an operation waits for what another one works on.
	claimPatience = 10 * time.Second
)

// Claim is the result of claiming one poison message.
type Claim int

// The results of a claim.
const (
	Claimed Claim = iota
	Held          // another operation has claimed it
	Missing       // it was removed before
)

// exclusively calls work with those messages of a batch that no other operation works on, and
// again with what others have left. What others have removed is done; what they still hold
// when ctx ends, or after claimPatience, is a problem in the tally. The context that work gets
// is the one for the batch in progress, which an interruption lets finish.
func (a *Admin) exclusively(ctx, finishing context.Context, batch []Message, t *Tally, work func(context.Context, []Message, *Tally) error) error {
	operation := events.NewID()
	waiting, cancel := context.WithTimeout(ctx, claimPatience)
	defer cancel()
	pause := backoff.Backoff{Min: 10 * time.Millisecond, Max: time.Second}
	for {
		claims, err := a.store.ClaimPoison(finishing, operation, claimLease, idsOf(batch)...)
		if err != nil {
			_ = a.store.UnclaimPoison(finishing, operation, idsOf(batch)...) // It may have claimed them all the same.
			return err
		}
		var mine, held []Message
		for i, is := range claims {
			switch is {
			case Claimed:
				mine = append(mine, batch[i])
			case Held:
				held = append(held, batch[i])
			default:
				t.Done++
			}
		}
		if len(mine) > 0 {
			err = work(finishing, mine, t)
			_ = a.store.UnclaimPoison(finishing, operation, idsOf(mine)...) // Otherwise they end with their lease.
		}
		if err != nil || len(held) == 0 {
			return err
		}
		if !pause.Wait(waiting) {
			t.fail(events.Errorf(events.CodeConflict, "another retry or discard works on the message, or has died a short while ago").MayRetry().
				WithHint("repeat the command in a minute"), held...)
			return nil
		}
		batch = held
	}
}

func idsOf(messages []Message) []string {
	ids := make([]string, len(messages))
	for i, m := range messages {
		ids[i] = m.ID
	}
	return ids
}
