package poison

import (
	"context"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/pitwheel/pitwheel/events"
)

// releaseTimeout bounds the publishing of a released message.
const releaseTimeout = 15 * time.Second

// Blocker is a message that the messages of its key wait for, and where these continue.
type Blocker struct {
	Handler, Queue, Key, MessageID string
}

// Release lets a key continue after its blocker, which was handled or will not be handled
// any more: the first parked message, if there is one, is published to the handler's queue
// and becomes the blocker. It may be called again, as after a crash; the message may then
// arrive twice. The publisher publishes into queues, as [Queues].QueuePublisher. The ledger may
// be nil.
func Release(ctx context.Context, p Parking, queues message.Publisher, l Ledger, b Blocker, handled bool) error {
	next, msg, err := p.ReleaseKey(ctx, b.Handler, b.Key, b.MessageID, handled)
	if err != nil || msg == nil {
		return err
	}
	publishing, cancel := context.WithTimeout(ctx, releaseTimeout)
	defer cancel()
	msg.SetContext(publishing)
	msg.Metadata[events.MetaParked] = "true"
	if err := requeued(ctx, l, b.Handler, msg); err != nil {
		return err
	}
	if err := queues.Publish(b.Queue, msg); err != nil {
		return err
	}
	return p.UnparkMessage(ctx, b.Handler, b.Key, next)
}

// releaser releases what waits behind messages that are going to be discarded.
type releaser struct {
	*Admin
	reached map[string]bool // queues
}

func (r *releaser) release(ctx context.Context, messages []Message) error {
	blockers, err := r.blockers(ctx, messages)
	if err != nil {
		return err
	}
	for _, m := range blockers {
		if !r.reached[m.Queue] {
			// A broker that is away must not leave a key half released.
			if _, err := r.queues.HasQueue(ctx, m.Queue); err != nil {
				return err
			}
			r.reached[m.Queue] = true
		}
		// A message that has changed is kept, and so is what waits behind it.
		now, err := r.store.LoadPoison(ctx, m.ID)
		if err != nil {
			return err
		}
		if len(now) == 0 || now[0].Revision != m.Revision {
			continue
		}
		if err := Release(ctx, r.parking, r.queues.QueuePublisher(), r.ledger, Blocker{m.Handler, m.Queue, m.Key, m.MessageID}, false); err != nil {
			return err
		}
	}
	return nil
}

// blockers returns the messages whose keys have a blocker. It looks up all keys at once,
// which costs few round trips.
func (r *releaser) blockers(ctx context.Context, messages []Message) ([]Message, error) {
	ids, errs := make([]string, len(messages)), make([]error, len(messages))
	var lookups sync.WaitGroup
	for i, m := range messages {
		if r.parking != nil && m.Key != "" && m.Kind != kindProjection {
			lookups.Go(func() { ids[i], errs[i] = r.parking.KeyBlocker(ctx, m.Handler, m.Key) })
		}
	}
	lookups.Wait()
	var out []Message
	for i, m := range messages {
		if errs[i] != nil {
			return nil, errs[i]
		}
		if ids[i] != "" {
			out = append(out, m)
		}
	}
	return out, nil
}
