package ledger

import (
	"context"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/redis/conn"
)

const (
	// settleDelay is how long bits wait to be written if nobody waits for them.
	settleDelay = 20 * time.Millisecond
	// retryAfter is the pause after a write that failed.
	retryAfter = 500 * time.Millisecond
)

// book is what this process knows of a handler's ledger: a write-behind buffer of bits, and
// lookups made ahead. The buffer is bounded by what the handler may have received and not
// acknowledged, because acknowledgements wait for it.
type book struct {
	ledger  *Ledger
	of      account
	flusher *conn.Flusher

	mu      sync.Mutex
	fresh   settled // not yet sent
	sending settled // sent, and not yet confirmed
	now     *write  // that of sending
	next    *write  // that of fresh
	asked   bool    // Standing was called: the handler uses its ledger
	ahead   ahead
}

// settled are the bits of settled events, by [events.Settlement].
type settled [2]chunks

func newSettled() settled { return settled{chunks{}, chunks{}} }

func (s *settled) empty() bool { return len(s[events.Handled]) == 0 && len(s[events.Discarded]) == 0 }

func (s *settled) has(c events.LedgerChunk, bit int) bool {
	return s[events.Handled][c].has(bit) || s[events.Discarded][c].has(bit)
}

// write is one write of the buffer, that callers of SyncLedger may wait for.
type write struct {
	done chan struct{}
	err  error
}

func newWrite() *write { return &write{done: make(chan struct{})} }

func newBook(l *Ledger, of account) *book {
	b := &book{ledger: l, of: of, fresh: newSettled(), sending: newSettled(), next: newWrite()}
	b.flusher = conn.NewFlusher(settleDelay, retryAfter, b.flush)
	return b
}

// Settle settles an event, and forgets its place. The bit is written a moment later, or as
// soon as somebody calls SyncLedger.
func (l *Ledger) Settle(handler string, at events.LogPosition, how events.Settlement) {
	of := account{handler, at.Log}
	if of.log == "" {
		of.log = l.logs.known()
	}
	b := l.book(of)
	if b == nil || !l.has(at) {
		return
	}
	if how != events.Discarded {
		how = events.Handled
	}
	c, bit := events.ChunkOf(at)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.settled(c, bit) {
		return
	}
	if b.fresh.empty() {
		b.flusher.Some()
	}
	b.fresh[how].of(c).set(bit)
}

// settled reports whether this process has settled an event, and the store has not confirmed
// that. It is called with mu held.
func (b *book) settled(c events.LedgerChunk, bit int) bool {
	return b.fresh.has(c, bit) || b.sending.has(c, bit)
}

// SyncLedger returns nil once everything that Settle was called with before, for the handler,
// is stored. Calls at the same time share a write.
func (l *Ledger) SyncLedger(ctx context.Context, handler string) error {
	l.mu.RLock()
	var books []*book // Usually one: there is one log.
	closed := l.books == nil
	for of, b := range l.books {
		if of.handler == handler {
			books = append(books, b)
		}
	}
	l.mu.RUnlock()
	if closed {
		return closedError()
	}
	for _, b := range books {
		if err := b.sync(ctx); err != nil {
			return err
		}
	}
	return nil
}

// sync waits until what is settled is stored.
func (b *book) sync(ctx context.Context) error {
	b.mu.Lock()
	var w *write
	switch {
	case !b.fresh.empty():
		w = b.next
		b.flusher.Some()
		b.flusher.Full()
	case !b.sending.empty():
		w = b.now
	}
	b.mu.Unlock()
	if w == nil {
		return nil
	}
	select {
	case <-w.done:
		return w.err
	case <-ctx.Done():
		return ctx.Err()
	case <-b.ledger.closed:
		return closedError()
	}
}

func closedError() error { return events.Errorf(events.CodeShuttingDown, "the store is closed") }

// flush writes the bits that wait. If that fails, they wait again: writing a bit twice is
// harmless.
func (b *book) flush(ctx context.Context) error {
	b.mu.Lock()
	w := b.next
	b.now, b.next = w, newWrite()
	b.fresh, b.sending = b.sending, b.fresh
	b.mu.Unlock()
	w.err = b.send(ctx)
	b.mu.Lock()
	for how, all := range b.sending {
		for c, bits := range all {
			switch {
			case w.err == nil:
				b.ahead.forget(c, bits)
			case b.fresh[how][c] == nil:
				b.fresh[how][c] = bits
			default:
				b.fresh[how][c].add(bits)
			}
		}
		clear(all)
	}
	b.mu.Unlock()
	close(w.done)
	return w.err
}

// send writes the bits that are being sent.
func (b *book) send(ctx context.Context) error {
	ledger, places := b.ledger.key(b.of), b.ledger.placesKey(b.of)
	var cmds []*redis.Cmd
	keys, args := []string{ledger, places}, []any(nil)
	add := func() {
		call := b.ledger.scripts.settle.Append(make([]any, 0, 3+len(keys)+len(args)), keys...)
		cmds = append(cmds, redis.NewCmd(ctx, append(call, args...)...))
		keys, args = keys[:2], args[:0]
	}
	for how, all := range b.sending {
		kind := "h"
		if events.Settlement(how) == events.Discarded { //nolint:gosec // There are two.
			kind = "d"
		}
		for c, bits := range all {
			keys = append(keys, b.ledger.chunkKey(b.of, c))
			before := c.Number*events.ChunkPositions + 8*uint64(bits.from) //nolint:gosec // It is in a chunk.
			args = append(args, kind, c.Partition, before, bits.mask())
			if len(keys) == 2+maxChunks {
				add()
			}
		}
	}
	if len(keys) > 2 {
		add()
	}
	if len(cmds) == 0 {
		return nil
	}
	if err := b.ledger.conn.Send(ctx, cmds...); err != nil {
		return err
	}
	for _, cmd := range cmds {
		if err := cmd.Err(); err != nil {
			return b.ledger.conn.Explain(err)
		}
	}
	return nil
}
