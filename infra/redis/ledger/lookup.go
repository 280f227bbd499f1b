package ledger

import (
	"context"
	"strconv"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/redis/go-redis/v9"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/redis/conn"
)

// lookup is the question what a ledger says about an event.
type lookup struct {
	book     *book
	at       events.LogPosition
	standing events.Standing
	err      error
	done     chan struct{}
}

// Standing returns what the ledger says about an event. Calls at the same time share a round
// trip.
func (l *Ledger) Standing(ctx context.Context, handler string, at events.LogPosition) (events.Standing, error) {
	of, err := l.at(ctx, handler, at)
	if err != nil {
		return events.NotOwed, err
	}
	b := l.book(of)
	if b == nil {
		return events.NotOwed, closedError()
	}
	if !l.has(at) {
		return events.NotOwed, nil
	}
	if standing, known := b.recall(at); known {
		return standing, nil
	}
	q := &lookup{book: b, at: at, done: make(chan struct{})}
	if err := l.lookups.Add(ctx, q); err != nil {
		return events.NotOwed, err
	}
	select {
	case <-q.done:
		return q.standing, q.err
	case <-ctx.Done():
		return events.NotOwed, ctx.Err()
	}
}

// recall returns what this process knows about an event.
func (b *book) recall(at events.LogPosition) (_ events.Standing, known bool) {
	c, bit := events.ChunkOf(at)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked = true
	// What leaves the buffer is dropped from the lookups made ahead at the same time: one that
	// is found afterwards is newer.
	if b.settled(c, bit) {
		return events.Settled, true
	}
	settled, known := b.ahead.take(c, bit)
	if settled {
		return events.Settled, true
	}
	return events.Open, known
}

// lookUp carries out lookups, all in one pipeline.
func (l *Ledger) lookUp(lookups []*lookup) {
	questions := make(map[*book]*question, 1)
	for _, q := range lookups {
		if questions[q.book] == nil {
			questions[q.book] = newQuestion(q.book)
		}
		questions[q.book].add(q.at)
	}
	var all []*redis.Cmd
	for _, q := range questions {
		all = append(all, q.commands(context.Background())...)
	}
	l.conn.Execute(all)
	for b, q := range questions {
		err := l.conn.Explain(q.read())
		for _, of := range lookups {
			if of.book != b {
				continue
			}
			if of.err = err; err == nil {
				of.standing = q.answer(of.at)
			}
			close(of.done)
		}
	}
}

// Prefetch looks up events whose messages the handler is about to receive, so that
// [Ledger.Standing] need not, and returns the other messages: those that the log does not
// have, and all of a handler that has never called Standing. A failure does no harm: Standing
// then looks up by itself.
func (l *Ledger) Prefetch(ctx context.Context, handler string, msgs []*message.Message) (others []*message.Message) {
	of := account{handler, l.logs.known()}
	if len(msgs) == 0 || of.log == "" {
		return msgs
	}
	b := l.book(of)
	if b == nil || !b.uses() {
		return msgs
	}
	positions := make([]events.LogPosition, 0, len(msgs))
	for _, msg := range msgs {
		if at, ok := l.position(msg.Metadata); ok && at.Log == of.log {
			positions = append(positions, at)
		} else {
			others = append(others, msg)
		}
	}
	if len(positions) > 0 {
		b.prefetch(ctx, positions)
	}
	return others
}

// position returns where in a log the event of a message is, if it is in one.
func (l *Ledger) position(m message.Metadata) (events.LogPosition, bool) {
	text := m[events.MetaLogPosition]
	if text == "" {
		return events.LogPosition{}, false
	}
	partition, err := strconv.Atoi(m[events.MetaLogPartition])
	if err != nil {
		return events.LogPosition{}, false
	}
	position, err := strconv.ParseUint(text, 10, 64)
	at := events.LogPosition{Log: logOf(m[events.MetaLogEpoch]), Partition: partition, Position: position}
	return at, err == nil && at.Log != "" && l.has(at)
}

// uses reports whether the handler uses its ledger.
func (b *book) uses() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.asked
}

// prefetch looks up events ahead.
func (b *book) prefetch(ctx context.Context, positions []events.LogPosition) {
	q := newQuestion(b)
	for _, at := range positions {
		q.add(at)
	}
	b.mu.Lock()
	b.ahead.begin()
	b.mu.Unlock()
	began := time.Now()
	var answers []events.Standing
	if b.ledger.conn.Send(ctx, q.commands(ctx)...) == nil && q.read() == nil {
		answers = make([]events.Standing, len(positions))
		for i, at := range positions {
			answers[i] = q.answer(at)
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if time.Since(began) >= aheadTTL/2 {
		answers = nil
	}
	b.ahead.end(positions, answers)
}

// question asks a handler's ledger about some events.
type question struct {
	book   *book
	chunks []part
	index  map[events.LedgerChunk]int
	cmds   []*redis.Cmd
}

// part is a part of a chunk that is asked for, and what is known of it.
type part struct {
	chunk    events.LedgerChunk
	from, to int // the first and the last byte

	begun            bool
	begin, watermark uint64
	bytes            string // those from "from" on; the ones left out are 0
}

func newQuestion(b *book) *question {
	return &question{book: b, index: map[events.LedgerChunk]int{}}
}

// add adds an event to the question.
func (q *question) add(at events.LogPosition) {
	c, bit := events.ChunkOf(at)
	i, ok := q.index[c]
	if !ok {
		q.index[c] = len(q.chunks)
		q.chunks = append(q.chunks, part{chunk: c, from: bit / 8, to: bit / 8})
		return
	}
	q.chunks[i].from, q.chunks[i].to = min(q.chunks[i].from, bit/8), max(q.chunks[i].to, bit/8)
}

// commands returns the commands that answer the question.
func (q *question) commands(ctx context.Context) []*redis.Cmd {
	l, of := q.book.ledger, q.book.of
	for from := 0; from < len(q.chunks); from += maxChunks {
		some := q.chunks[from:min(len(q.chunks), from+maxChunks)]
		keys := make([]string, 1, 1+len(some))
		keys[0] = l.key(of)
		for _, p := range some {
			keys = append(keys, l.chunkKey(of, p.chunk))
		}
		args := l.scripts.standing.Append(make([]any, 0, 3+len(keys)+2*len(some)), keys...)
		for _, p := range some {
			args = append(args, p.from, p.to)
		}
		q.cmds = append(q.cmds, redis.NewCmd(ctx, args...))
	}
	return q.cmds
}

// read reads the replies.
func (q *question) read() error {
	for i, cmd := range q.cmds {
		reply, err := cmd.Slice()
		if err != nil {
			return err
		}
		some := q.chunks[i*maxChunks : min(len(q.chunks), (i+1)*maxChunks)]
		if len(reply) == 0 {
			continue
		}
		if len(reply) != 2+len(some) {
			return events.Errorf(events.CodeInternal, "the lookup of %d chunks has a reply of %d parts", len(some), len(reply))
		}
		begin, watermark := conn.Text(reply[0]), conn.Text(reply[1])
		for j := range some {
			p := &some[j]
			p.begun, p.bytes = true, conn.Text(reply[2+j])
			if p.begin, err = positionIn(begin, p.chunk.Partition); err != nil {
				return err
			}
			if p.watermark, err = positionIn(watermark, p.chunk.Partition); err != nil {
				return err
			}
		}
	}
	return nil
}

// answer returns what the ledger says about an event that was added.
func (q *question) answer(at events.LogPosition) events.Standing {
	c, bit := events.ChunkOf(at)
	p := &q.chunks[q.index[c]]
	switch i := bit/8 - p.from; {
	case !p.begun || at.Position <= p.begin:
		return events.NotOwed
	case at.Position <= p.watermark, i < len(p.bytes) && p.bytes[i]&(0x80>>(bit%8)) != 0:
		return events.Settled
	}
	return events.Open
}
