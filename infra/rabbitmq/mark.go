package rabbitmq

import (
	"context"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/pitwheel/pitwheel/router"
)

var _ router.Marker = (*Broker)(nil)

// Mark publishes a message straight into a queue, behind everything that the broker has
// routed to it before; the topic does not matter. It returns when the broker has confirmed
// it. Nothing is declared: a queue that does not exist is an error with the code NOT_FOUND.
// Otherwise it is like Publish of [Broker.QueuePublisher].
func (b *Broker) Mark(ctx context.Context, _, queue string, msg *message.Message) error {
	to := destination{queue: b.cfg.qualify(queue), mandatory: true, exists: true}
	items, err := b.sender.items(to, []*message.Message{msg})
	if err != nil {
		return err
	}
	ctx, cancel := b.cfg.within(ctx)
	defer cancel()
	return b.sender.publish(ctx, to, items)
}

// QueueDepth returns how many messages wait in a queue that the broker has not delivered to
// a consumer, and whether it has the queue. It waits for the broker up to
// [Config].PublishTimeout.
func (b *Broker) QueueDepth(ctx context.Context, _, queue string) (n int, exists bool, err error) {
	ctx, cancel := b.cfg.within(ctx)
	defer cancel()
	return b.inspect(ctx, b.cfg.qualify(queue))
}
