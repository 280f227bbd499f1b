package poison

import (
	"context"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/pitwheel/pitwheel/events"
)

// Ledger keeps the books of handlers right while their messages are retried, released or
// discarded; router.NewPoisonLedger makes one. Messages that do not come from the log of the
// store change nothing.
type Ledger interface {
	// Requeued records that a message is about to be published to the queue of its handler.
	// settled reports whether the handler has settled it, so that it would be taken for a
	// duplicate.
	Requeued(ctx context.Context, handler string, meta message.Metadata) (settled bool, err error)
	// Settled reports whether the handler has settled a message. Of one that is to be handled
	// again the ledger does not know: the inbox has it under the id of [InboxID].
	Settled(ctx context.Context, handler string, meta message.Metadata) (bool, error)
	// Discarded records that the handler need not handle messages any more.
	Discarded(ctx context.Context, handler string, metas []message.Metadata) error
}

// InboxID returns the id that the inbox has a message under, once it is handled. One that is
// to be handled again has an id of its own there, so that it is handled again once.
func InboxID(id string, meta message.Metadata) string {
	if again := meta[events.MetaAgain]; again != "" {
		return events.DeriveID("again", again, id)
	}
	return id
}

// requeued is [Ledger].Requeued; a message that was settled, as one that was discarded and
// imported again, is to be handled all the same. A nil ledger records nothing.
func requeued(ctx context.Context, l Ledger, handler string, msg *message.Message) error {
	if l == nil {
		return nil
	}
	settled, err := l.Requeued(ctx, handler, msg.Metadata)
	if settled {
		msg.Metadata[events.MetaAgain] = events.NewID()
	}
	return err
}

// discarded records that messages of a batch were discarded. Their metadata is loaded before
// they are removed.
func (a *Admin) discarded(ctx context.Context, whole []Message) error {
	if a.ledger == nil {
		return nil
	}
	byHandler := map[string][]message.Metadata{}
	for _, m := range whole {
		if m.Kind != kindProjection {
			byHandler[m.Handler] = append(byHandler[m.Handler], m.Metadata)
		}
	}
	for handler, metas := range byHandler {
		if err := a.ledger.Discarded(ctx, handler, metas); err != nil {
			return err
		}
	}
	return nil
}
