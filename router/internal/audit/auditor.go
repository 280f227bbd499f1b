package audit

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router/internal/catchup"
	"github.com/pitwheel/pitwheel/router/internal/health"
)

// Role is the name of the auditor's role in elections.
const Role = "auditor"

const (
	// readLimit is how many events of one partition are read at once.
	readLimit = 1000
	// ReportTTL is how long a report says something: nobody audits where it is older.
	ReportTTL = 30 * time.Second
	// DefaultInterval is how often the books are balanced.
	DefaultInterval = time.Second
	// DefaultGrace is how long an event has been published before the auditor begins to look
	// for it: nearly all are settled by then, and no mark need be sent.
	DefaultGrace = 5 * time.Second
)

// Ledger is what the auditor needs of the store; see router.AuditLedger and router.Ledger.
type Ledger interface {
	LedgerState(ctx context.Context, handler string) (events.LedgerState, error)
	LedgerBits(ctx context.Context, handler string, chunks []events.LedgerChunk) ([][]byte, error)
	LedgerPlaces(ctx context.Context, handler string) (map[events.LogPosition]events.Place, error)
	SetPlace(ctx context.Context, handler string, at events.LogPosition, p events.Place) error
	AdvanceLedger(ctx context.Context, handler string, a events.LedgerAdvance) error
	SendMark(ctx context.Context, handler string) (uint64, error)
	LedgerRound(ctx context.Context, handler string) (events.LedgerRound, error)
	SaveLedgerReport(ctx context.Context, r events.LedgerReport) error
	LedgerReports(ctx context.Context) (map[string]events.LedgerReport, error)
}

// Transport is what the auditor needs of the transport; see router.Transport and
// router.Marker.
type Transport interface {
	QueuePublisher() message.Publisher
	Mark(ctx context.Context, topic, queue string, msg *message.Message) error
	QueueDepth(ctx context.Context, topic, queue string) (n int, exists bool, err error)
	// Unacknowledged returns how many messages consumers have received and neither acknowledged
	// nor given back, though they may be gone; 0 where a transport gives such messages back by
	// itself.
	Unacknowledged(ctx context.Context, topic, queue string) (int, error)
}

// Config is what an auditor works with. All fields but the last three are required.
type Config struct {
	Reader    catchup.Reader
	Ledger    Ledger
	Transport Transport
	// Relayed returns how far the relay has published the log.
	Relayed func(context.Context) (events.Cursor, error)
	// Begin begins the ledger of a handler, which the store does not have, or not any more.
	Begin func(ctx context.Context, handler string) error
	// Declare declares a handler's queue and its bindings.
	Declare func(ctx context.Context, handler string) error
	// InPoisonStore reports which of a handler's events are in the poison store.
	InPoisonStore func(ctx context.Context, handler string, ids []string) ([]bool, error)
	// Healed is called with how many events of a handler were delivered again.
	Healed func(handler string, n int)
	Logger *slog.Logger

	// Interval and Grace are as [DefaultInterval] and [DefaultGrace], which 0 stands for.
	Interval, Grace time.Duration
	// Skew is how far the clocks of two instances may be apart. 0: 5 s.
	Skew time.Duration
}

// Auditor balances the books of all handlers while it has the role. Run is called by one
// goroutine at a time.
type Auditor struct {
	Config
	handlers []Handler
	health   health.Health
}

// New returns an auditor of handlers.
func New(c Config, handlers []Handler) *Auditor {
	for _, d := range []struct {
		is  *time.Duration
		def time.Duration
	}{{&c.Interval, DefaultInterval}, {&c.Grace, DefaultGrace}, {&c.Skew, 5 * time.Second}} {
		if *d.is == 0 {
			*d.is = d.def
		}
	}
	return &Auditor{Config: c, handlers: handlers}
}

// Health returns the health of the role.
func (a *Auditor) Health() *health.Health { return &a.health }

// Run audits until ctx ends, and then returns nil. Failures are retried with backoff; it
// returns an error if it has got nowhere for some seconds, so that another instance can try.
func (a *Auditor) Run(ctx context.Context) error {
	return a.health.Run(ctx, a.Logger, Role, func(ctx context.Context) error {
		err := a.audit(ctx)
		if events.CodeOf(err) == events.CodeCursorMoved {
			return nil // Another instance has the role now, or had it a moment ago.
		}
		return err
	})
}

// audit reads the books from the store, and balances them until ctx ends or something fails.
func (a *Auditor) audit(ctx context.Context) error {
	b := &books{Auditor: a}
	var from events.Cursor
	for _, h := range a.handlers {
		acct, err := a.account(ctx, h)
		if err != nil {
			return err
		}
		b.accounts = append(b.accounts, acct)
		if from == nil {
			from = acct.state.Watermark.Clone(0)
		}
		for p, at := range acct.state.Watermark {
			from[p] = min(from[p], at)
		}
	}
	if from == nil {
		<-ctx.Done()
		return nil
	}
	end, err := a.end(ctx)
	if err != nil {
		return err
	}
	for p, at := range from {
		if last := end.At(p); at > last {
			return events.Errorf(events.CodeInternal, "the ledgers say that everything up to position %d of partition %d is settled, and the log ends at %d: part of the log is gone", at, p, last)
		}
	}
	b.cursor = from
	next := time.Now()
	apply := func(batch []events.Recorded) error {
		for i := range batch {
			for _, acct := range b.accounts {
				acct.add(&batch[i])
			}
		}
		catchup.Advance(b.cursor, batch)
		if now := time.Now(); now.Before(next) {
			return nil
		}
		err := b.balance(ctx)
		next = time.Now().Add(a.Interval)
		if err == nil {
			a.health.OK()
		}
		return err
	}
	return catchup.Subscription{Reader: a.Reader, From: from, Limit: readLimit, Apply: apply, Broken: a.broken}.Run(ctx)
}

// broken is told that a partition cannot be read on, or again can be: its events are not
// audited meanwhile.
func (a *Auditor) broken(partition int, err error) {
	a.health.ReportPart(a.Logger, Role, catchup.PartitionName(partition), err)
}

// end returns the end of the log, as far as it is known: a partition whose end cannot be read
// ends nowhere.
func (a *Auditor) end(ctx context.Context) (events.Cursor, error) {
	end, err := a.Reader.End(ctx)
	var parts events.PartitionErrors
	if errors.As(err, &parts) {
		err = nil
	}
	return end, err
}

// account reads the ledger of a handler.
func (a *Auditor) account(ctx context.Context, h Handler) (*account, error) {
	state, err := a.Ledger.LedgerState(ctx, h.Name)
	if err == nil && len(state.Terms) == 0 {
		if err = a.Begin(ctx, h.Name); err == nil {
			state, err = a.Ledger.LedgerState(ctx, h.Name)
		}
	}
	switch {
	case err != nil:
		return nil, err
	case len(state.Terms) == 0:
		return nil, events.Errorf(events.CodeUnavailable, "the ledger of %s has not begun", h.Name).MayRetry()
	}
	reports, err := a.Ledger.LedgerReports(ctx)
	if err != nil {
		return nil, err
	}
	acct := newAccount(h, state, a.Reader.Partitions())
	acct.round.healed = reports[h.Name].Healed
	return acct, nil
}
