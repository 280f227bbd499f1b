package main

import (
	"context"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/pitwheel/pitwheel/events"
)

// patience is how long a run may make no progress at all.
const patience = 20 * time.Second

// meter counts the messages that were handled, each once, and times them. The
// first tenth warms up and is not timed.
type meter struct {
	n, warm int
	seen    []uint32
	count   atomic.Int64
	made    time.Time
	start   atomic.Int64 // when the warm-up ended, in nanoseconds after made
	end     time.Duration
	done    chan struct{}
}

// newMeter returns a meter that is done when n of total messages are handled.
func newMeter(n, total int) *meter {
	return &meter{n: n, warm: max(1, n/10), seen: make([]uint32, total/32+1), made: time.Now(), done: make(chan struct{})}
}

// mark counts the message with a number, once.
func (m *meter) mark(i int) {
	if i < 0 || i/32 >= len(m.seen) {
		return
	}
	bit := uint32(1) << (i % 32)
	if atomic.OrUint32(&m.seen[i/32], bit)&bit != 0 {
		return
	}
	now := m.count.Add(1)
	if now == int64(m.warm) {
		m.start.Store(int64(time.Since(m.made)))
	}
	if now == int64(m.n) {
		m.end = time.Since(m.made)
		close(m.done)
	}
}

// markID counts the message with an id of [messageID].
func (m *meter) markID(id string) { m.mark(numberOf(id)) }

// wait returns how many messages a second were handled, when all are.
func (m *meter) wait(ctx context.Context) float64 {
	ticker := time.NewTicker(patience)
	defer ticker.Stop()
	for last := int64(0); ; {
		select {
		case <-m.done:
			return perSecond(m.n-m.warm, m.end-time.Duration(m.start.Load()))
		case <-ctx.Done():
			check(ctx.Err())
		case <-ticker.C:
			now := m.count.Load()
			if now == last {
				check(events.Errorf(events.CodeTimeout, "%d of %d messages were handled, and no further one within %s", now, m.n, patience))
			}
			last = now
		}
	}
}

// messageID returns the id of the message with a number: a UUID.
func messageID(i int) string {
	const head = "0190f3c2-0000-7000-8000-"
	id := []byte(head + "000000000000")
	digits := strconv.AppendInt(nil, int64(i), 16)
	copy(id[len(id)-len(digits):], digits)
	return string(id)
}

// numberOf returns the number of a message from its id, or -1.
func numberOf(id string) int {
	if len(id) != 36 {
		return -1
	}
	i, err := strconv.ParseInt(id[24:], 16, 63)
	if err != nil {
		return -1
	}
	return int(i)
}
