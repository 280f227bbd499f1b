package ledger

import (
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/redis/conn"
)

const (
	// maxDropped bounds the chunks that one advance deletes.
	maxDropped = 1024
	// scanCount is how many places are read at a time.
	scanCount = 1000
)

// LedgerState returns a handler's ledger without its bits.
func (l *Ledger) LedgerState(ctx context.Context, handler string) (events.LedgerState, error) {
	of, err := l.of(ctx, handler)
	if err != nil {
		return events.LedgerState{}, err
	}
	fields, err := l.fields(ctx, of)
	if err != nil {
		return events.LedgerState{}, err
	}
	return l.state(of, fields)
}

// fields returns the hash of a ledger.
func (l *Ledger) fields(ctx context.Context, of account) (map[string]string, error) {
	reply, err := l.conn.Do(ctx, "hgetall", l.key(of))
	if err != nil {
		return nil, err
	}
	flat, _ := reply.([]any)
	fields := make(map[string]string, len(flat)/2)
	for i := 0; i+1 < len(flat); i += 2 {
		fields[conn.Text(flat[i])] = conn.Text(flat[i+1])
	}
	return fields, nil
}

// state reads the hash of a ledger.
func (l *Ledger) state(of account, fields map[string]string) (s events.LedgerState, err error) {
	key := l.key(of)
	if s.Terms, err = readTerms(key, fields["terms"]); err != nil {
		return s, err
	}
	for field, cursor := range map[string]*events.Cursor{"w": &s.Watermark, "a": &s.Audited} {
		if *cursor, err = l.cursor(fields[field]); err != nil {
			return s, err
		}
	}
	for field, n := range map[string]*uint64{"e": &s.Events, "h": &s.Handled, "d": &s.Discarded} {
		if *n, err = number(key, field, fields[field]); err != nil {
			return s, err
		}
	}
	return s, nil
}

// number reads a field that is a number; an empty one is 0.
func number(key, field, text string) (uint64, error) {
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, events.Errorf(events.CodeUndecodable, "the ledger %s has %q for %s, which is not a number", key, text, field)
	}
	return n, nil
}

// LedgerBits returns the bits of chunks.
func (l *Ledger) LedgerBits(ctx context.Context, handler string, chunks []events.LedgerChunk) ([][]byte, error) {
	of, err := l.of(ctx, handler)
	if err != nil {
		return nil, err
	}
	out := make([][]byte, 0, len(chunks))
	for some := range slices.Chunk(chunks, maxChunks) {
		args := make([]any, 1, 1+len(some))
		args[0] = "mget"
		for _, c := range some {
			args = append(args, l.chunkKey(of, c))
		}
		reply, err := l.conn.Do(ctx, args...)
		if err != nil {
			return nil, err
		}
		found, _ := reply.([]any)
		if len(found) != len(some) {
			return nil, events.Errorf(events.CodeInternal, "MGET replied with %d of %d chunks", len(found), len(some))
		}
		for _, bits := range found {
			if text := conn.Text(bits); text != "" {
				out = append(out, []byte(text))
			} else {
				out = append(out, nil)
			}
		}
	}
	return out, nil
}

// LedgerPlaces returns the places of all open events that have one. It reads them in steps:
// of one that is set or forgotten meanwhile, it returns the place before or afterwards.
func (l *Ledger) LedgerPlaces(ctx context.Context, handler string) (map[events.LogPosition]events.Place, error) {
	of, err := l.of(ctx, handler)
	if err != nil {
		return nil, err
	}
	return l.places(ctx, of)
}

func (l *Ledger) places(ctx context.Context, of account) (map[events.LogPosition]events.Place, error) {
	key, places := l.placesKey(of), map[events.LogPosition]events.Place{}
	for cursor := "0"; ; {
		reply, err := l.conn.Do(ctx, "hscan", key, cursor, "count", scanCount)
		if err != nil {
			return nil, err
		}
		pair, _ := reply.([]any)
		if len(pair) != 2 {
			return nil, events.Errorf(events.CodeInternal, "HSCAN replied with %d parts", len(pair))
		}
		flat, _ := pair[1].([]any)
		for i := 0; i+1 < len(flat); i += 2 {
			at, place, err := readPlace(key, conn.Text(flat[i]), conn.Text(flat[i+1]))
			if err != nil {
				return nil, err
			}
			places[at] = place
		}
		if cursor = conn.Text(pair[0]); cursor == "0" {
			return places, nil
		}
	}
}

func readPlace(key, field, value string) (events.LogPosition, events.Place, error) {
	partition, position, _ := strings.Cut(field, ":")
	kind, until, timed := strings.Cut(value, ":")
	p, err := strconv.Atoi(partition)
	n, err2 := strconv.ParseUint(position, 10, 64)
	place := events.Place{Kind: events.PlaceKind(kind)}
	var err3 error
	if timed {
		var ms int64
		ms, err3 = strconv.ParseInt(until, 10, 64)
		place.Until = time.UnixMilli(ms).UTC()
	}
	if err != nil || err2 != nil || err3 != nil {
		return events.LogPosition{}, events.Place{}, events.Errorf(events.CodeUndecodable, "the places %s have %q for %q, which cannot be read", key, value, field)
	}
	return events.LogPosition{Partition: p, Position: n}, place, nil
}

// AdvanceLedger moves the audit of a handler forward, and deletes up to 1,024 chunks that the
// watermark has passed; the next call goes on.
func (l *Ledger) AdvanceLedger(ctx context.Context, handler string, a events.LedgerAdvance) error {
	of, err := l.of(ctx, handler)
	if err != nil {
		return err
	}
	before := ""
	if a.FromWatermark != nil {
		before = l.cursorText(a.FromWatermark)
	}
	reply, err := l.conn.Run(ctx, l.scripts.advance, []string{l.key(of)},
		l.cursorText(a.From), l.cursorText(a.Audited), l.cursorText(a.Watermark), a.Events, maxDropped, l.partitions, before, a.FromTerms)
	if err != nil {
		return err
	}
	if written, _ := reply.(int64); written != 1 {
		return events.Errorf(events.CodeCursorMoved, "another instance has audited %s meanwhile, or its ledger has not begun", handler).MayRetry()
	}
	return nil
}

// SendMark returns the number of the next mark.
func (l *Ledger) SendMark(ctx context.Context, handler string) (uint64, error) {
	of, err := l.of(ctx, handler)
	if err != nil {
		return 0, err
	}
	reply, err := l.conn.Do(ctx, "hincrby", l.key(of), "sent", 1)
	if err != nil {
		return 0, err
	}
	n, _ := reply.(int64)
	return uint64(n), nil //nolint:gosec // Marks are counted from 1 on.
}

// LedgerRound returns how far the marks have been answered.
func (l *Ledger) LedgerRound(ctx context.Context, handler string) (events.LedgerRound, error) {
	var r events.LedgerRound
	of, err := l.of(ctx, handler)
	if err != nil {
		return r, err
	}
	key := l.instancesKey(of)
	reply, err := l.conn.Run(ctx, l.scripts.round, []string{key, l.key(of)})
	if err != nil {
		return r, err
	}
	parts, _ := reply.([]any)
	if len(parts) < 2 {
		return r, events.Errorf(events.CodeInternal, "the marks of %s are read with %d parts", handler, len(parts))
	}
	if r.Sent, err = number(key, "sent", conn.Text(parts[0])); err != nil {
		return r, err
	}
	if r.Passed, err = number(key, "passed", conn.Text(parts[1])); err != nil {
		return r, err
	}
	for i := 2; i+1 < len(parts); i += 2 {
		cleared, err := number(key, "cleared", conn.Text(parts[i+1]))
		if err != nil {
			return r, err
		}
		if len(r.Instances) == 0 || cleared < r.Cleared {
			r.Cleared = cleared
		}
		r.Instances = append(r.Instances, conn.Text(parts[i]))
	}
	slices.Sort(r.Instances)
	return r, nil
}

// SaveLedgerReport replaces the report of a handler.
func (l *Ledger) SaveLedgerReport(ctx context.Context, r events.LedgerReport) error {
	data, err := json.Marshal(r)
	if err != nil {
		return err
	}
	_, err = l.conn.Do(ctx, "hset", l.reportsKey(), r.Handler, data)
	return err
}

// LedgerReports returns the last report of every handler, by name.
func (l *Ledger) LedgerReports(ctx context.Context) (map[string]events.LedgerReport, error) {
	reply, err := l.conn.Do(ctx, "hgetall", l.reportsKey())
	if err != nil {
		return nil, err
	}
	flat, _ := reply.([]any)
	reports := make(map[string]events.LedgerReport, len(flat)/2)
	for i := 0; i+1 < len(flat); i += 2 {
		var r events.LedgerReport
		if err := json.Unmarshal([]byte(conn.Text(flat[i+1])), &r); err != nil {
			return nil, events.Errorf(events.CodeUndecodable, "the report of %s in %s cannot be read: %w", conn.Text(flat[i]), l.reportsKey(), err)
		}
		reports[conn.Text(flat[i])] = r
	}
	return reports, nil
}
