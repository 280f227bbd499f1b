package routertest

import (
	"context"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router"
)

// Ledger puts the faults around a ledger. Settle cannot fail: it only buffers.
func (f *Faults) Ledger(l router.Ledger) router.Ledger { return faultyLedger{l, f} }

type faultyLedger struct {
	router.Ledger
	f *Faults
}

func (l faultyLedger) BeginLedger(ctx context.Context, handler string, t events.LedgerTerm) ([]events.LedgerTerm, error) {
	return call(ctx, l.f, "BeginLedger", handler, func() ([]events.LedgerTerm, error) { return l.Ledger.BeginLedger(ctx, handler, t) })
}

func (l faultyLedger) Standing(ctx context.Context, handler string, at events.LogPosition) (events.Standing, error) {
	return call(ctx, l.f, "Standing", handler, func() (events.Standing, error) { return l.Ledger.Standing(ctx, handler, at) })
}

func (l faultyLedger) SyncLedger(ctx context.Context, handler string) error {
	return act(ctx, l.f, "SyncLedger", handler, func() error { return l.Ledger.SyncLedger(ctx, handler) })
}

func (l faultyLedger) SetPlace(ctx context.Context, handler string, at events.LogPosition, p events.Place) error {
	return act(ctx, l.f, "SetPlace", handler, func() error { return l.Ledger.SetPlace(ctx, handler, at, p) })
}

func (l faultyLedger) Attend(ctx context.Context, handler, instance string, cleared uint64) (uint64, error) {
	return call(ctx, l.f, "Attend", handler, func() (uint64, error) { return l.Ledger.Attend(ctx, handler, instance, cleared) })
}

func (l faultyLedger) MarkPassed(ctx context.Context, handler string, mark uint64) error {
	return act(ctx, l.f, "MarkPassed", handler, func() error { return l.Ledger.MarkPassed(ctx, handler, mark) })
}

// AuditLedger puts the faults around what the auditor needs of a ledger.
func (f *Faults) AuditLedger(l router.AuditLedger) router.AuditLedger { return faultyAuditLedger{l, f} }

type faultyAuditLedger struct {
	router.AuditLedger
	f *Faults
}

func (l faultyAuditLedger) LedgerState(ctx context.Context, handler string) (events.LedgerState, error) {
	return call(ctx, l.f, "LedgerState", handler, func() (events.LedgerState, error) { return l.AuditLedger.LedgerState(ctx, handler) })
}

func (l faultyAuditLedger) LedgerBits(ctx context.Context, handler string, chunks []events.LedgerChunk) ([][]byte, error) {
	return call(ctx, l.f, "LedgerBits", handler, func() ([][]byte, error) { return l.AuditLedger.LedgerBits(ctx, handler, chunks) })
}

func (l faultyAuditLedger) LedgerPlaces(ctx context.Context, handler string) (map[events.LogPosition]events.Place, error) {
	return call(ctx, l.f, "LedgerPlaces", handler, func() (map[events.LogPosition]events.Place, error) {
		return l.AuditLedger.LedgerPlaces(ctx, handler)
	})
}

func (l faultyAuditLedger) AdvanceLedger(ctx context.Context, handler string, a events.LedgerAdvance) error {
	return act(ctx, l.f, "AdvanceLedger", handler, func() error { return l.AuditLedger.AdvanceLedger(ctx, handler, a) })
}

func (l faultyAuditLedger) SendMark(ctx context.Context, handler string) (uint64, error) {
	return call(ctx, l.f, "SendMark", handler, func() (uint64, error) { return l.AuditLedger.SendMark(ctx, handler) })
}

func (l faultyAuditLedger) LedgerRound(ctx context.Context, handler string) (events.LedgerRound, error) {
	return call(ctx, l.f, "LedgerRound", handler, func() (events.LedgerRound, error) { return l.AuditLedger.LedgerRound(ctx, handler) })
}

func (l faultyAuditLedger) SaveLedgerReport(ctx context.Context, r events.LedgerReport) error {
	return act(ctx, l.f, "SaveLedgerReport", r.Handler, func() error { return l.AuditLedger.SaveLedgerReport(ctx, r) })
}
