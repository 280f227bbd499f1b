package poison

import (
	"context"
	"iter"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
)

// Store holds poison messages and the audit trail of their changes. Each change is
// written together with its entry of the audit trail, or not at all. In a [Change] that
// is passed to a store, Who and Why are set; the store adds the rest.
//
// Implementations are safe for concurrent use.
type Store interface {
	// PoisonMessages returns the messages that a filter selects, without stack, metadata
	// and body, by the time of their last failure. Messages that are added or removed
	// meanwhile may be missing; all others are there once. An error ends the sequence.
	PoisonMessages(ctx context.Context, f Filter, order Order) iter.Seq2[Message, error]
	// LoadPoison returns whole messages in the order of the ids; those that are gone are
	// left out.
	LoadPoison(ctx context.Context, ids ...string) ([]Message, error)
	// ClaimPoison claims messages for one operation, so that no other one works on them, and
	// returns what it found of each. A claim ends after the lease, when its message is
	// removed or fails again, and with UnclaimPoison. The operation may claim again.
	ClaimPoison(ctx context.Context, operation string, lease time.Duration, ids ...string) ([]Claim, error)
	// UnclaimPoison ends claims of an operation. Those of others stay.
	UnclaimPoison(ctx context.Context, operation string, ids ...string) error
	// RemovePoison removes the messages that still have the revision they were read with,
	// and returns what it did with each. The change also has its Action.
	RemovePoison(ctx context.Context, c Change, messages ...Message) ([]Removal, error)
	// EditPoison replaces the body of a message that still has the revision it was read
	// with, and returns the new one. If the revision differs, or an operation has claimed the
	// message, the error has the code VERSION_CONFLICT; if the message is gone, NOT_FOUND.
	EditPoison(ctx context.Context, m Message, body []byte, c Change) (Message, error)
	// ImportPoison stores a message unless there is one with its id, and reports whether
	// it did.
	ImportPoison(ctx context.Context, m Message, c Change) (bool, error)
	// PoisonChanges returns the audit trail, the newest change first. An error ends the
	// sequence.
	PoisonChanges(ctx context.Context) iter.Seq2[Change, error]
}

// Queues are the queues of handlers. Each router.Transport satisfies it. An [Admin] looks
// up a queue before it publishes into it for the first time in an operation.
type Queues interface {
	// QueuePublisher publishes straight into queues: its topic is a queue's name. Publish
	// returns when the broker has confirmed all messages, and honours their contexts. A
	// message that the broker can never accept is an error with the code INVALID.
	QueuePublisher() message.Publisher
	// HasQueue reports whether a queue exists.
	HasQueue(ctx context.Context, queue string) (bool, error)
}

// Parking holds what waits behind failed messages, for handlers that keep the order of
// their keys. It is the part of router.Parking that a release needs, and described there.
type Parking interface {
	// KeyBlocker returns the id of the message that a key waits for, "" if it waits for none.
	KeyBlocker(ctx context.Context, handler, key string) (string, error)
	// ReleaseKey makes the first parked message the blocker and returns it, nil if none is parked.
	ReleaseKey(ctx context.Context, handler, key, id string, handled bool) (next string, msg *message.Message, err error)
	// UnparkMessage removes a blocker that is in the handler's queue from the parked messages.
	UnparkMessage(ctx context.Context, handler, key, id string) error
}
