package router

import (
	"context"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router/poison"
)

// poisonLedger keeps the ledger right for those who retry, release and discard messages.
type poisonLedger struct {
	ledger Ledger
	log    *logIdentity
}

// NewPoisonLedger returns what a [poison.Admin] keeps the ledger right with. Epoch returns
// the epoch of the store's log.
func NewPoisonLedger(l Ledger, epoch func(context.Context) (string, error)) poison.Ledger {
	return poisonLedger{l, &logIdentity{epoch: epoch}}
}

// poisonLedger returns nil for a nil account.
func (a *account) poisonLedger() poison.Ledger {
	if a == nil {
		return nil
	}
	return poisonLedger{a.ledger, a.log}
}

// locate returns where a message's event is in the log, if it comes from there.
func (l poisonLedger) locate(ctx context.Context, meta message.Metadata) (at events.LogPosition, ok bool, err error) {
	if at, ok = positionOf(meta); !ok {
		return at, false, nil
	}
	ok, err = l.log.owns(ctx, meta[events.MetaLogEpoch])
	return at, ok, err
}

func (l poisonLedger) Requeued(ctx context.Context, handler string, meta message.Metadata) (settled bool, err error) {
	at, ok, err := l.locate(ctx, meta)
	if !ok || err != nil {
		return false, err
	}
	standing, err := l.ledger.Standing(ctx, handler, at)
	if err != nil || standing != events.Open {
		return standing == events.Settled, err
	}
	return false, l.ledger.SetPlace(ctx, handler, at, events.Place{Kind: events.PlaceQueued, Until: time.Now()})
}

func (l poisonLedger) Discarded(ctx context.Context, handler string, metas []message.Metadata) error {
	for _, meta := range metas {
		at, ok, err := l.locate(ctx, meta)
		if err != nil {
			return err
		}
		if ok {
			l.ledger.Settle(handler, at, events.Discarded)
		}
	}
	return l.ledger.SyncLedger(ctx, handler)
}
