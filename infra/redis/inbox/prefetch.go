package inbox

import (
	"context"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/uuid"
)

// prefetchTTL is how long a prefetched lookup is valid. A duplicate that another instance
// handles in that time is not recognised, as it would not be if both handled it at once.
const prefetchTTL = 500 * time.Millisecond

// prefetched holds lookups of messages that have just been read: a subscriber looks up all
// of a batch at once, before their handlers do.
//
// Each is taken once. Those that are not taken are dropped with their generation.
type prefetched struct {
	mu       sync.Mutex
	handlers map[string]bool  // that use the inbox
	current  map[handled]bool // whether an entry is in the inbox
	previous map[handled]bool
	since    time.Time // when current began

	running int                  // lookups under way
	changed map[handled]struct{} // what was written meanwhile
}

// rotate begins a new generation if it is time to. It is called with mu held.
func (p *prefetched) rotate() {
	switch age := time.Since(p.since); {
	case age < prefetchTTL/2:
		return
	case age < prefetchTTL:
		p.previous = p.current
	default:
		p.previous = nil
	}
	p.current, p.since = map[handled]bool{}, time.Now()
}

// uses reports whether a handler uses the inbox.
func (p *prefetched) uses(handler string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.handlers[handler]
}

// take returns the lookup of an entry, once.
func (p *prefetched) take(e handled) (seen, known bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.handlers[e.handler] {
		if p.handlers == nil {
			p.handlers = map[string]bool{}
		}
		p.handlers[e.handler] = true
	}
	p.rotate()
	if seen, known = p.current[e]; known {
		delete(p.current, e)
		return seen, true
	}
	if seen, known = p.previous[e]; known {
		delete(p.previous, e)
	}
	return seen, known
}

// drop drops the lookups of messages that have been written.
func (p *prefetched) drop(handler string, ids []uuid.UUID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, id := range ids {
		e := handled{handler, id}
		delete(p.current, e)
		delete(p.previous, e)
		if p.running > 0 {
			p.changed[e] = struct{}{}
		}
	}
}

// begin begins a lookup.
func (p *prefetched) begin() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.running++; p.changed == nil {
		p.changed = map[handled]struct{}{}
	}
}

// end ends a lookup, which may have no results.
func (p *prefetched) end(handler string, ids []uuid.UUID, seen []bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rotate()
	for i := range seen {
		e := handled{handler, ids[i]}
		if _, ok := p.changed[e]; !ok {
			p.current[e] = seen[i]
		}
	}
	if p.running--; p.running == 0 {
		clear(p.changed)
	}
}

// Prefetch looks up messages that the handler is about to receive, so that [Inbox.Seen]
// need not. It does nothing for a handler that has never called Seen. A failure does no
// harm: Seen then looks up by itself.
func (b *Inbox) Prefetch(ctx context.Context, handler string, msgs []*message.Message) {
	if len(msgs) == 0 || !b.prefetch.uses(handler) {
		return
	}
	ids := make([]uuid.UUID, len(msgs))
	for i, msg := range msgs {
		ids[i] = entryOf(handler, msg.UUID).id
	}
	b.prefetch.begin()
	began := time.Now()
	cmds := b.commands(ctx, handler, ids)
	var seen []bool
	if b.conn.Send(ctx, cmds...) == nil && time.Since(began) < prefetchTTL/2 {
		seen, _ = results(cmds, len(msgs))
	}
	b.prefetch.end(handler, ids, seen)
}
