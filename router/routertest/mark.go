package routertest

import (
	"context"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router"
)

var _ router.Marker = (*Transport)(nil)

// Mark puts a message behind everything in a queue.
func (t *Transport) Mark(ctx context.Context, _, name string, msg *message.Message) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	q := t.queues[name]
	if q == nil || !q.declared {
		return events.Errorf(events.CodeNotFound, "there is no queue %s to mark: no subscriber has ever declared it", name)
	}
	q.add(msg)
	return nil
}

// QueueDepth returns how many messages wait in a queue that no consumer has received.
func (t *Transport) QueueDepth(_ context.Context, _, name string) (n int, exists bool, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	q := t.queues[name]
	if q == nil || !q.declared {
		return 0, false, nil
	}
	return q.waiting(), true, nil
}
