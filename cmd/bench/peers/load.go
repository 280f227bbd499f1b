package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router/routertest/sample"
)

const (
	bodySize = 230  // bytes, a typical event
	keys     = 1000 // aggregates that the events are spread over
	// patience is how long a system may make no progress at all.
	patience = 30 * time.Second
)

// event is what all systems carry. The body starts with the id.
type event struct {
	events.Envelope
	body []byte
}

// newLoad returns n events.
func newLoad(n int) []event {
	out := make([]event, n)
	now := time.Now().UTC().Truncate(time.Millisecond)
	for i := range out {
		user := "0190f3c2-1111" + messageID(i % keys)[13:]
		e := events.Envelope{Header: events.Header{
			ID: messageID(i), Type: "USER_CREATED", Timestamp: now, Aggregate: "user", AggregateID: user, Version: uint64(i/keys) + 1,
			CorrelationID: messageID(i), CausationID: messageID(i), SchemaVersion: 1,
		}}
		data := sample.Created{UserID: user, Email: "ada@ex.com"}
		e.Data, _ = json.Marshal(data) // A struct of strings always marshals.
		data.Name = strings.Repeat("a", bodySize-len(events.Encode(e)))
		e.Data, _ = json.Marshal(data)
		out[i] = event{e, events.Encode(e)}
	}
	return out
}

const idHead = `{"id":"`

// idOf returns the id in a body. Handlers that get bytes take it without decoding the rest,
// which is in their favour: Pitwheel's gets the decoded event.
func idOf(body []byte) string {
	const uuid = 36
	if len(body) < len(idHead)+uuid {
		return ""
	}
	return string(body[len(idHead) : len(idHead)+uuid])
}

// messageID returns the id of the message with a number: a UUID.
func messageID(i int) string { return fmt.Sprintf("0190f3c2-0000-7000-8000-%012x", i) }

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

// meter counts messages, each once, and times them. The first tenth warms up and is not
// timed.
type meter struct {
	n, warm int
	seen    []atomic.Bool
	count   atomic.Int64
	made    time.Time
	start   atomic.Int64 // when the warm-up ended, in nanoseconds after made
	end     time.Duration
	done    chan struct{}
}

func newMeter(n int) *meter {
	return &meter{n: n, warm: n / 10, seen: make([]atomic.Bool, n), made: time.Now(), done: make(chan struct{})}
}

// mark counts the message with a number, once.
func (m *meter) mark(i int) {
	if i < 0 || i >= m.n || m.seen[i].Swap(true) {
		return
	}
	switch int(m.count.Add(1)) {
	case m.warm:
		m.start.Store(int64(time.Since(m.made)))
	case m.n:
		m.end = time.Since(m.made)
		close(m.done)
	}
}

// wait returns how many messages a second were handled, when all are.
func (m *meter) wait(ctx context.Context) (float64, error) {
	ticker := time.NewTicker(patience)
	defer ticker.Stop()
	for last := int64(0); ; {
		select {
		case <-m.done:
			return float64(m.n-m.warm) / (m.end - time.Duration(m.start.Load())).Seconds(), nil
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-ticker.C:
			now := m.count.Load()
			if now == last {
				return 0, fmt.Errorf("%d of %d messages were handled, and no further one within %s", now, m.n, patience)
			}
			last = now
		}
	}
}
