package eventlog

import (
	"context"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/redis/conn"
)

// Witness knows outside of Redis how far the log was published; see router.Witness.
type Witness interface {
	Witnessed(ctx context.Context) (events.Witnessed, error)
}

// maxVerifications bounds how often one append has the log verified before it gives up.
const maxVerifications = 10

// guard finds out when Redis has lost the end of the log.
//
// Each append says how far its process knows the log to have been, and is refused if the
// log is shorter. What other processes have published is in the witness, which is read
// every few seconds, and before the first append to a Redis that may hold other data than
// before. Such a Redis gives itself away: append.lua is never sent along, so one that was
// restarted or has taken over from another does not know the script, and refuses it. The
// script is loaded there once the log is verified. That costs appends nothing.
type guard struct {
	witness Witness
	seen    []atomic.Uint64 // the highest position of each partition that was ever known
	epoch   atomic.Uint64

	verifying chan struct{} // holds a token while the log is verified
	verified  atomic.Uint64 // counts verifications
}

func newGuard(partitions int) guard {
	return guard{seen: make([]atomic.Uint64, partitions), verifying: make(chan struct{}, 1)}
}

// Guard has the log verified by a witness. It is to be called before the first Append.
func (l *Log) Guard(w Witness) { l.guard.witness = w }

// EpochNumber returns the number of the log's epoch, as of the last [Log.Verify]: 0 at
// first, and a greater one each time that the log has lost its end.
func (l *Log) EpochNumber() uint64 { return l.guard.epoch.Load() }

// observe takes note of a position that was in use.
func (g *guard) observe(partition int, position uint64) {
	if partition < 0 || partition >= len(g.seen) {
		return
	}
	seen := &g.seen[partition]
	for {
		old := seen.Load()
		if position <= old || seen.CompareAndSwap(old, position) {
			return
		}
	}
}

// known returns the highest position of each partition that was ever known.
func (g *guard) known() events.Cursor {
	out := make(events.Cursor, len(g.seen))
	for p := range g.seen {
		out[p] = g.seen[p].Load()
	}
	return out
}

// Verify compares the log with everything that is known to have been in it: by its witness,
// if it has one, and by this process. Where the log ends earlier, the next event follows
// the gap, under a new epoch, and an error is logged. If the witness cannot be asked, the
// error has the code UNAVAILABLE.
func (l *Log) Verify(ctx context.Context) error {
	return l.alone(ctx, func() error { return l.verify(ctx) })
}

// admitAppends verifies the log and loads append.lua, unless another caller has verified
// the log since the given verification.
func (l *Log) admitAppends(ctx context.Context, verification uint64) error {
	return l.alone(ctx, func() error {
		if l.guard.verified.Load() != verification {
			return nil
		}
		if err := l.verify(ctx); err != nil {
			return err
		}
		return l.conn.Load(ctx, l.append)
	})
}

// alone runs f while no other verification runs.
func (l *Log) alone(ctx context.Context, f func() error) error {
	select {
	case l.guard.verifying <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-l.guard.verifying }()
	return f()
}

func (l *Log) verify(ctx context.Context) error {
	var witnessed events.Witnessed
	if l.guard.witness != nil {
		var err error
		if witnessed, err = l.guard.witness.Witnessed(ctx); err != nil {
			return events.Errorf(events.CodeUnavailable, "the witness of the log cannot be asked whether Redis has lost events: %w", err).MayRetry()
		}
		for p, position := range witnessed.Positions {
			l.guard.observe(p, position)
		}
	}
	stored, err := l.storedEpoch(ctx)
	if err != nil {
		return err
	}
	l.guard.epoch.Store(stored)
	known := l.guard.known() // Before the log is read, which may grow meanwhile.
	ends, err := l.readMarks(ctx)
	if err != nil {
		return err
	}
	for p, m := range ends {
		if m.floor() >= known[p] {
			continue
		}
		// First, so that no event follows the gap under the old epoch.
		if err := l.beginEpoch(ctx, max(stored, witnessed.Epoch)+1); err != nil {
			return err
		}
		if err := l.recoverPartition(ctx, p, witnessed.Positions.At(p)); err != nil {
			return err
		}
	}
	l.guard.verified.Add(1)
	return nil
}

// recoverPartition lets a partition go on behind what is gone.
func (l *Log) recoverPartition(ctx context.Context, p int, witnessed uint64) error {
	seen := l.guard.seen[p].Load()
	reply, err := l.conn.Run(ctx, l.recover, []string{l.endKey(p), l.gapsKey(p)}, seen, time.Now().UnixMilli())
	if err != nil {
		return err
	}
	end, _ := reply.(int64)
	if lost := int64(seen) - end; lost > 0 { //nolint:gosec // Positions are far below.
		l.conn.Logger().ErrorContext(ctx, "the log in Redis has lost its end; it goes on behind the gap, and no position or version is used twice",
			slog.Int("partition", p), slog.Int64("log_end", end), slog.Uint64("witnessed", seen), slog.Uint64("published", witnessed),
			slog.Int64("events_gone", lost), slog.Uint64("epoch", l.guard.epoch.Load()))
	}
	return nil
}

// beginEpoch begins an epoch, unless this or a later one has begun.
func (l *Log) beginEpoch(ctx context.Context, n uint64) error {
	if l.guard.epoch.Load() >= n {
		return nil
	}
	if _, err := l.conn.Run(ctx, l.raise, []string{l.epochKey()}, n); err != nil {
		return err
	}
	l.guard.epoch.Store(n)
	return nil
}

// isUnknownScript reports whether Redis does not know a script that is not sent along.
func isUnknownScript(err error) bool {
	return err != nil && strings.Contains(err.Error(), conn.UnknownScript)
}
