package poison

import (
	"context"
	"slices"
	"time"

	"github.com/pitwheel/pitwheel/router/backoff"
)

// Handled reports which messages their handlers have processed. False means that it is not
// known.
type Handled func(ctx context.Context, messages []Message) ([]bool, error)

// Follow waits until every message that Retry has given back is either processed or a
// poison message again, or until ctx ends, which is not an error. It returns t, the tally
// of Retry, with what it has found out: a message that failed again counts as that and is
// no longer done.
func (a *Admin) Follow(ctx context.Context, t Tally, retried []Message, handled Handled) (Tally, error) {
	t.Followed = &Followed{Unknown: t.Done}
	pause := backoff.Backoff{Min: 50 * time.Millisecond, Max: time.Second}
	for len(retried) > 0 {
		var left []Message
		for some := range slices.Chunk(retried, maxBatch) {
			waiting, err := a.follow(ctx, &t, some, handled)
			if err != nil && ctx.Err() == nil {
				return t, err
			}
			left = append(left, waiting...)
		}
		retried = left
		if len(retried) == 0 || !pause.Wait(ctx) {
			break
		}
	}
	return t, nil
}

// follow looks once at some messages, and returns those of which nothing is known yet.
func (a *Admin) follow(ctx context.Context, t *Tally, messages []Message, handled Handled) ([]Message, error) {
	// The store comes last: what is in it has failed, whatever happened to it before.
	done, err := handled(ctx, messages)
	if err != nil {
		return messages, err
	}
	stored, err := a.store.LoadPoison(ctx, idsOf(messages)...)
	if err != nil {
		return messages, err
	}
	again := map[string]Message{}
	for _, m := range stored {
		again[m.ID] = m
	}
	var left []Message
	for i, m := range messages {
		now, failed := again[m.ID]
		switch {
		case failed:
			t.failedAgain(now)
		case done[i]:
			t.Unknown--
			t.Handled++
		default:
			left = append(left, m)
		}
	}
	return left, nil
}
