package router

import (
	"context"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router/poison"
)

// poisonLedger keeps the ledger right for those who retry, release and discard messages.
type poisonLedger struct{ ledger Ledger }

// NewPoisonLedger returns what a [poison.Admin] keeps the ledger right with.
func NewPoisonLedger(l Ledger) poison.Ledger { return poisonLedger{l} }

// poisonLedger returns nil for a nil account.
func (a *account) poisonLedger() poison.Ledger {
	if a == nil {
		return nil
	}
	return poisonLedger{a.ledger}
}

func (l poisonLedger) Requeued(ctx context.Context, handler string, meta message.Metadata) (settled bool, err error) {
	at, ok := positionOf(meta)
	if !ok {
		return false, nil
	}
	standing, err := l.ledger.Standing(ctx, handler, at)
	if err != nil || standing != events.Open {
		return standing == events.Settled, err
	}
	return false, l.ledger.SetPlace(ctx, handler, at, events.Place{Kind: events.PlaceQueued, Until: time.Now()})
}

func (l poisonLedger) Settled(ctx context.Context, handler string, meta message.Metadata) (bool, error) {
	at, ok := positionOf(meta)
	if !ok || meta[events.MetaAgain] != "" { // What is handled again was settled before.
		return false, nil
	}
	standing, err := l.ledger.Standing(ctx, handler, at)
	return standing == events.Settled, err
}

func (l poisonLedger) Discarded(ctx context.Context, handler string, metas []message.Metadata) error {
	for _, meta := range metas {
		at, ok := positionOf(meta)
		if !ok {
			continue
		}
		standing, err := l.ledger.Standing(ctx, handler, at)
		if err != nil {
			return err
		}
		if standing == events.Open {
			l.ledger.Settle(handler, at, events.Discarded)
		}
	}
	return l.ledger.SyncLedger(ctx, handler)
}
