package ledger_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"
	"pgregory.net/rapid"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/redis"
	"github.com/pitwheel/pitwheel/infra/redis/internal/redistest"
)

// Two processes settle, look up and audit in any order: an event that nobody has settled never
// counts as settled, one that is stored does for both, except for a moment after a lookup
// ahead, and each is counted once.
func TestLedger_TwoProcesses_LikeTheModel(t *testing.T) {
	t.Parallel()
	redistest.OnEach(t, func(t *testing.T, url string) {
		ns := redistest.Namespace(t, url)
		stores := [2]*redis.Store{redistest.OpenIn(t, url, ns), redistest.OpenIn(t, url, ns)}
		rapid.Check(t, func(rt *rapid.T) {
			after := rapid.SampledFrom([]uint64{0, 3, 4096}).Draw(rt, "after")
			m := &model{
				stores: stores, handler: events.NewID(), after: after,
				watermark: events.Cursor{after, after}, audited: events.Cursor{after, after},
				settled: map[events.LogPosition][2]bool{}, stored: map[events.LogPosition]bool{}, ahead: map[events.LogPosition][2]bool{},
			}
			_, err := stores[0].BeginLedger(context.Background(), m.handler, events.LedgerTerm{After: events.Cursor{after, after}})
			m.must(rt, err)
			rt.Repeat(map[string]func(*rapid.T){"settle": m.settle, "sync": m.sync, "prefetch": m.prefetch, "advance": m.advance, "look": m.look})
			for who := range stores {
				m.syncOne(rt, who)
			}
			m.checkCounts(rt)
		})
	})
}

type model struct {
	stores             [2]*redis.Store
	handler            string
	after              uint64
	watermark, audited events.Cursor
	settled            map[events.LogPosition][2]bool // by whom
	stored             map[events.LogPosition]bool    // for certain
	ahead              map[events.LogPosition][2]bool // looked up ahead by whom, perhaps
}

func (*model) must(rt *rapid.T, err error) {
	if err != nil {
		rt.Fatal(err)
	}
}

// draw draws a process, and some events that follow one another.
func (m *model) draw(rt *rapid.T) (who int, some []events.LogPosition) {
	first := events.LogPosition{
		Partition: rapid.IntRange(0, 1).Draw(rt, "partition"),
		Position:  rapid.OneOf(rapid.SampledFrom([]uint64{1, 4089, 4096, 4097, 8192}), rapid.Uint64Range(1, 40), rapid.Uint64Range(1, 9000)).Draw(rt, "position"),
	}
	for range rapid.SampledFrom([]int{1, 2, 9, 40}).Draw(rt, "n") {
		some = append(some, first)
		first.Position++
	}
	return rapid.IntRange(0, 1).Draw(rt, "process"), some
}

func (m *model) settle(rt *rapid.T) {
	who, some := m.draw(rt)
	how := events.Settlement(rapid.IntRange(0, 1).Draw(rt, "how")) //nolint:gosec // 0 or 1.
	for _, at := range some {
		m.stores[who].Settle(m.handler, at, how)
		by := m.settled[at]
		by[who] = true
		m.settled[at] = by
	}
}

func (m *model) sync(rt *rapid.T) { m.syncOne(rt, rapid.IntRange(0, 1).Draw(rt, "process")) }

func (m *model) syncOne(rt *rapid.T, who int) {
	m.must(rt, m.stores[who].SyncLedger(context.Background(), m.handler))
	for at, by := range m.settled {
		if by[who] {
			m.stored[at] = true
		}
	}
}

func (m *model) prefetch(rt *rapid.T) {
	who, some := m.draw(rt)
	var msgs []*message.Message
	epoch, err := m.stores[who].Epoch(context.Background())
	m.must(rt, err)
	for _, at := range some {
		msgs = append(msgs, messageOf(at, epoch))
		by := m.ahead[at]
		by[who] = true
		m.ahead[at] = by
	}
	m.stores[who].Prefetch(context.Background(), m.handler, msgs)
}

func (m *model) look(rt *rapid.T) {
	who, some := m.draw(rt)
	for _, at := range some {
		got, err := m.stores[who].Standing(context.Background(), m.handler, at)
		m.must(rt, err)
		by := m.settled[at]
		passed := at.Position <= m.watermark.At(at.Partition)
		switch {
		case at.Position <= m.after:
			if got == events.Open {
				rt.Fatalf("%v is open; want not owed", at)
			}
		case !by[0] && !by[1] && !passed:
			if got != events.Open {
				rt.Fatalf("the standing of %v is %d, and nobody has settled it", at, got)
			}
		case by[who], !m.ahead[at][who] && (m.stored[at] || passed):
			if got != events.Settled {
				rt.Fatalf("the standing of %v is %d; want settled", at, got)
			}
		}
		if ahead := m.ahead[at]; ahead[who] { // It was taken.
			ahead[who] = false
			m.ahead[at] = ahead
		}
	}
}

// advance moves the watermark of a partition over everything that is stored.
func (m *model) advance(rt *rapid.T) {
	p := rapid.IntRange(0, 1).Draw(rt, "partition")
	to, audited := m.watermark.Clone(0), m.audited.Clone(0)
	for m.stored[events.LogPosition{Partition: p, Position: to[p] + 1}] {
		to[p]++
	}
	audited[p] = max(audited[p], to[p])
	m.must(rt, m.stores[0].AdvanceLedger(context.Background(), m.handler, events.LedgerAdvance{From: m.audited, Audited: audited, Watermark: to}))
	m.watermark, m.audited = to, audited
}

func (m *model) checkCounts(rt *rapid.T) {
	var want uint64
	var chunks []events.LedgerChunk
	for at := range m.settled {
		if at.Position > m.after {
			want++
			c, _ := events.ChunkOf(at)
			chunks = append(chunks, c)
		}
	}
	state, err := m.stores[0].LedgerState(context.Background(), m.handler)
	m.must(rt, err)
	if got := state.Handled + state.Discarded; got != want {
		rt.Fatalf("%d events are settled; want %d", got, want)
	}
	found, err := m.stores[0].LedgerBits(context.Background(), m.handler, chunks)
	m.must(rt, err)
	for i, c := range chunks {
		for j, octet := range found[i] {
			for bit := range 8 {
				at := events.LogPosition{Partition: c.Partition, Position: c.Number*events.ChunkPositions + uint64(8*j+bit) + 1} //nolint:gosec // It is small.
				if _, ok := m.settled[at]; !ok && octet&(0x80>>bit) != 0 {
					rt.Fatalf("%s has a bit that nobody has set", fmt.Sprint(at))
				}
			}
		}
	}
}
