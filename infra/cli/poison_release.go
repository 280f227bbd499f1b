package cli

import (
	"context"
	"sync"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router"
	"github.com/pitwheel/pitwheel/router/poison"
)

// releaser lets the messages go on that are parked behind those of letters. It
// connects to what carries messages when it first finds any.
type releaser struct {
	*bulk
	carrier *client // nil: not connected yet
}

// release comes before letters are removed whose messages will not be handled any
// more. Done again after an interruption, it goes on.
func (r *releaser) release(ctx context.Context, letters []poison.Message) error {
	blocking, err := r.blocking(ctx, letters)
	if err != nil || len(blocking) == 0 {
		return err
	}
	if r.carrier == nil {
		if r.carrier, err = r.c.reach(ctx, withCommands); err != nil {
			return err
		}
	}
	queues := r.carrier.queuePublisher()
	for _, l := range blocking {
		// A letter that has changed stays, and so does what waits behind it.
		now, err := r.client.store.PoisonMessage(ctx, l.ID)
		if events.CodeOf(err) == events.CodeNotFound && err != nil || err == nil && now.Revision != l.Revision {
			continue
		}
		if err == nil {
			err = router.Release(ctx, r.client.store, queues, l)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// blocking are the letters whose keys something may wait for. All are asked about
// at once, which makes few round trips.
func (r *releaser) blocking(ctx context.Context, letters []poison.Message) ([]poison.Message, error) {
	blockers, errs := make([]string, len(letters)), make([]error, len(letters))
	var asking sync.WaitGroup
	for i, l := range letters {
		if l.Key == "" || l.Kind == string(router.KindProjection) {
			continue
		}
		asking.Go(func() { blockers[i], errs[i] = r.client.store.KeyBlocker(ctx, l.Handler, l.Key) })
	}
	asking.Wait()
	var out []poison.Message
	for i, l := range letters {
		if errs[i] != nil {
			return nil, errs[i]
		}
		if blockers[i] != "" {
			out = append(out, l)
		}
	}
	return out, nil
}

// close ends the connections that release has made.
func (r *releaser) close() {
	if r.carrier != nil {
		r.carrier.Close()
	}
}
