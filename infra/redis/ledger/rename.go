package ledger

import (
	"context"
	"encoding/json"
	"strconv"
	"strings"

	"github.com/pitwheel/pitwheel/events"
)

// joinedField starts the name of the field that marks in a ledger that another one was joined
// with it: so that it is not counted again if that was interrupted before the other one was
// removed.
const joinedField = "joined:"

// RenameLedger joins the ledger of a former handler with that of another one, and removes it.
// The two may be in different slots of a cluster, so that it takes several steps: the bits and
// the places first, then the hash in one write, then the former keys are deleted, the hash
// last. Each of them may be repeated.
func (l *Ledger) RenameLedger(ctx context.Context, from, to string) error {
	if from == to {
		return nil
	}
	if err := l.SyncLedger(ctx, from); err != nil {
		return err
	}
	former, err := l.of(ctx, from)
	if err != nil {
		return err
	}
	fields, err := l.fields(ctx, former)
	if err != nil {
		return err
	}
	if fields["terms"] == "" {
		return l.RemoveLedger(ctx, from)
	}
	if _, err := l.conn.Do(ctx, "hsetnx", l.key(former), "id", events.NewID()); err != nil {
		return err
	}
	if fields, err = l.fields(ctx, former); err != nil {
		return err
	}
	own, mark := account{to, former.log}, joinedField+fields["id"]
	for done := false; !done; {
		if done, err = l.join(ctx, former, own, fields, mark); err != nil {
			return err
		}
	}
	if err := l.RemoveLedger(ctx, from); err != nil {
		return err
	}
	_, err = l.conn.Do(ctx, "hdel", l.key(own), mark)
	return err
}

// join writes everything of a former ledger to another one; done is false if that was audited
// meanwhile, and it has to be repeated.
func (l *Ledger) join(ctx context.Context, former, own account, fields map[string]string, mark string) (done bool, err error) {
	before, err := l.fields(ctx, own)
	if err != nil || before[mark] != "" {
		return err == nil, err
	}
	a, err := l.state(former, fields)
	if err != nil {
		return false, err
	}
	b, err := l.state(own, before)
	if err != nil {
		return false, err
	}
	joined, spans := events.JoinLedgers(a, b)
	kept := joined.Watermark.Clone(l.partitions) // the first chunk of each partition that there may be
	for p := range kept {
		kept[p] /= events.ChunkPositions
		if text := before["x"]; text != "" {
			first, err := positionIn(text, p)
			if err != nil {
				return false, err
			}
			kept[p] = min(kept[p], first)
		}
	}
	if err := l.addBits(ctx, former, own, joined.Watermark); err != nil {
		return false, err
	}
	if err := l.addSpans(ctx, own, spans); err != nil {
		return false, err
	}
	if err := l.addPlaces(ctx, former, own, joined.Watermark); err != nil {
		return false, err
	}
	terms, err := json.Marshal(joined.Terms)
	if err != nil {
		return false, err
	}
	reply, err := l.conn.Run(ctx, l.scripts.join, []string{l.key(own)},
		before["terms"], before["w"], before["a"], before["x"], before["e"],
		terms, l.cursorText(joined.Watermark), l.cursorText(joined.Audited), l.cursorText(kept), joined.Events,
		l.cursorText(joined.Terms[0].After), a.Handled, a.Discarded, mark)
	written, _ := reply.(int64)
	return written == 1, err
}

// addBits sets the bits of a former ledger, as far as the watermark does not cover them.
func (l *Ledger) addBits(ctx context.Context, former, own account, watermark events.Cursor) error {
	keys, err := l.keysOf(ctx, former.handler)
	if err != nil {
		return err
	}
	for _, key := range keys {
		c, ok := l.chunkOf(former, key)
		if !ok || c.Number < watermark.At(c.Partition)/events.ChunkPositions {
			continue
		}
		bits, err := l.conn.Do(ctx, "get", key)
		if err != nil {
			return err
		}
		if err := l.addChunk(ctx, own, c, bits); err != nil {
			return err
		}
	}
	return nil
}

// chunkOf returns the chunk of a ledger that a key is of.
func (l *Ledger) chunkOf(of account, key string) (events.LedgerChunk, bool) {
	name, ok := strings.CutPrefix(key, l.key(of)+":")
	if !ok {
		return events.LedgerChunk{}, false
	}
	partition, number, _ := strings.Cut(name, ":")
	p, err := strconv.Atoi(partition)
	n, err2 := strconv.ParseUint(number, 10, 64)
	return events.LedgerChunk{Partition: p, Number: n}, err == nil && err2 == nil
}

// addSpans sets the bits of spans.
func (l *Ledger) addSpans(ctx context.Context, own account, spans []events.LedgerSpan) error {
	for _, s := range spans {
		for position := s.After + 1; position <= s.UpTo; {
			c, bit := events.ChunkOf(events.LogPosition{Partition: s.Partition, Position: position})
			var b bits
			for ; bit < events.ChunkPositions && position <= s.UpTo; bit++ {
				b.set(bit)
				position++
			}
			if err := l.addChunk(ctx, own, c, string(b.bytes[:b.to])); err != nil {
				return err
			}
		}
	}
	return nil
}

func (l *Ledger) addChunk(ctx context.Context, own account, c events.LedgerChunk, bits any) error {
	_, err := l.conn.Run(ctx, l.scripts.add, []string{l.chunkKey(own, c), l.key(own) + ":add"}, bits)
	return err
}

// addPlaces records the places of a former ledger, and forgets those of events that are settled
// in one of the two.
func (l *Ledger) addPlaces(ctx context.Context, former, own account, watermark events.Cursor) error {
	for _, of := range []account{former, own} {
		places, err := l.places(ctx, of)
		if err != nil {
			return err
		}
		for at, place := range places {
			settled := 0
			if at.Position <= watermark.At(at.Partition) {
				settled = 1
			}
			c, bit := events.ChunkOf(at)
			keys := []string{l.placesKey(own), l.chunkKey(own, c)}
			if _, err := l.conn.Run(ctx, l.scripts.takePlace, keys, placeField(at), bit, placeText(place), settled); err != nil {
				return err
			}
		}
	}
	return nil
}
