package poison

import (
	"context"
	"iter"

	"github.com/pitwheel/pitwheel/events"
)

// Config is what an [Admin] works on.
type Config struct {
	Store  Store
	Queues Queues
	// Parking may be nil if no handler keeps the order of its keys.
	Parking Parking
	// Ledger may be nil if there is none.
	Ledger Ledger
}

// Admin administers poison messages. It is safe for concurrent use.
type Admin struct {
	store   Store
	queues  Queues
	parking Parking
	ledger  Ledger
}

// New returns an Admin. A port that is missing is an error with the code CONFIG.
func New(c Config) (*Admin, error) {
	switch {
	case c.Store == nil:
		return nil, events.Errorf(events.CodeConfig, "the administration of poison messages needs a store").WithField("Store")
	case c.Queues == nil:
		return nil, events.Errorf(events.CodeConfig, "the administration of poison messages needs queues").WithField("Queues")
	}
	return &Admin{c.Store, c.Queues, c.Parking, c.Ledger}, nil
}

// Messages returns the messages that a filter selects, without stack, metadata and body.
// An error ends the sequence.
func (a *Admin) Messages(ctx context.Context, f Filter, order Order) iter.Seq2[Message, error] {
	return a.store.PoisonMessages(ctx, f, order)
}

// Message returns one message, whole. If there is none, the error has the code NOT_FOUND.
func (a *Admin) Message(ctx context.Context, id string) (Message, error) {
	found, err := a.store.LoadPoison(ctx, id)
	switch {
	case err != nil:
		return Message{}, err
	case len(found) == 0:
		return Message{}, events.Errorf(events.CodeNotFound, "there is no poison message %s; it may have been retried or discarded", id)
	}
	return found[0], nil
}

// Changes returns the audit trail, the newest change first. An error ends the sequence.
func (a *Admin) Changes(ctx context.Context) iter.Seq2[Change, error] {
	return a.store.PoisonChanges(ctx)
}
