package ledger

import (
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"time"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/redis/conn"
)

// BeginLedger begins a handler's ledger with a term, or adds the term if its types differ from
// those of the last one.
func (l *Ledger) BeginLedger(ctx context.Context, handler string, t events.LedgerTerm) ([]events.LedgerTerm, error) {
	of, err := l.of(ctx, handler)
	if err != nil {
		return nil, err
	}
	key := l.key(of)
	for {
		reply, err := l.conn.Do(ctx, "hmget", key, "terms", "a")
		if err != nil {
			return nil, err
		}
		var stored, audited string
		if fields, _ := reply.([]any); len(fields) == 2 {
			stored, audited = conn.Text(fields[0]), conn.Text(fields[1])
		}
		before, err := readTerms(key, stored)
		if err != nil {
			return nil, err
		}
		passed, err := l.cursor(audited)
		if err != nil {
			return nil, err
		}
		terms := events.AddLedgerTerm(before, t, passed)
		if len(terms) == len(before) {
			return terms, nil
		}
		after, err := json.Marshal(terms)
		if err != nil {
			return nil, err
		}
		begin := terms[0].After.Clone(l.partitions)
		first := slices.Clone(begin)
		for p := range first {
			first[p] /= events.ChunkPositions
		}
		reply, err = l.conn.Run(ctx, l.scripts.begin, []string{key}, stored, after, l.cursorText(begin), l.cursorText(first), audited)
		if err != nil {
			return nil, err
		}
		if written, _ := reply.(int64); written == 1 {
			return terms, nil
		}
		// Another instance has written others meanwhile.
	}
}

func readTerms(key, text string) ([]events.LedgerTerm, error) {
	var terms []events.LedgerTerm
	if text == "" {
		return nil, nil
	}
	if err := json.Unmarshal([]byte(text), &terms); err != nil {
		return nil, events.Errorf(events.CodeUndecodable, "the terms in the ledger %s cannot be read: %w", key, err)
	}
	return terms, nil
}

// SetPlace records where an open event is.
func (l *Ledger) SetPlace(ctx context.Context, handler string, at events.LogPosition, p events.Place) error {
	if !l.has(at) {
		return nil
	}
	of, err := l.at(ctx, handler, at)
	if err != nil {
		return err
	}
	if p == (events.Place{}) {
		_, err := l.conn.Do(ctx, "hdel", l.placesKey(of), placeField(at))
		return err
	}
	c, bit := events.ChunkOf(at)
	_, err = l.conn.Run(ctx, l.scripts.place, []string{l.key(of), l.placesKey(of), l.chunkKey(of, c)},
		at.Partition, at.Position, bit, placeText(p))
	return err
}

func placeText(p events.Place) string {
	if p.Until.IsZero() {
		return string(p.Kind)
	}
	return string(p.Kind) + ":" + strconv.FormatInt(p.Until.UnixMilli(), 10)
}

func placeField(at events.LogPosition) string {
	return strconv.Itoa(at.Partition) + ":" + strconv.FormatUint(at.Position, 10)
}

// attendance is how long an instance counts as living after [Ledger.Attend].
const attendance = 30 * time.Second

// Attend tells for 30 s, by the clock of Redis, that an instance consumes the handler's queue.
func (l *Ledger) Attend(ctx context.Context, handler, instance string, cleared uint64) (passed uint64, err error) {
	of, err := l.of(ctx, handler)
	if err != nil {
		return 0, err
	}
	reply, err := l.conn.Run(ctx, l.scripts.attend, []string{l.instancesKey(of), l.key(of)}, instance, cleared, attendance.Milliseconds())
	if err != nil {
		return 0, err
	}
	n, _ := reply.(int64)
	return uint64(n), nil //nolint:gosec // Marks are counted from 1 on.
}

// Leave ends what Attend has told.
func (l *Ledger) Leave(ctx context.Context, handler, instance string) error {
	of, err := l.of(ctx, handler)
	if err != nil {
		return err
	}
	_, err = l.conn.Do(ctx, "hdel", l.instancesKey(of), instance)
	return err
}

// MarkPassed records that a mark has arrived.
func (l *Ledger) MarkPassed(ctx context.Context, handler string, mark uint64) error {
	of, err := l.of(ctx, handler)
	if err != nil {
		return err
	}
	_, err = l.conn.Run(ctx, l.scripts.pass, []string{l.key(of)}, mark)
	return err
}
