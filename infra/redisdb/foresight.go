package redisdb

import (
	"context"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/uuid"
)

// foresightTrust is how long an answer that was asked for ahead is good for. A
// duplicate that another instance handles in that time is not recognised, as it
// would not be if both handled it at once.
const foresightTrust = 500 * time.Millisecond

// foresight knows what Seen will answer for messages that have just been read: a
// subscriber asks for all of a batch at once, ahead of their handlers.
//
// An answer is given out once. What nobody asks for is dropped with its
// generation.
type foresight struct {
	mu       sync.Mutex
	handlers map[string]bool  // that use the inbox
	now      map[handled]bool // whether an entry is in the inbox
	before   map[handled]bool
	since    time.Time // when now began

	asking  int                  // questions under way
	changed map[handled]struct{} // what was written meanwhile
}

// turn begins a new generation if it is time to. It is called with mu held.
func (f *foresight) turn() {
	switch age := time.Since(f.since); {
	case age < foresightTrust/2:
		return
	case age < foresightTrust:
		f.before = f.now
	default:
		f.before = nil
	}
	f.now, f.since = map[handled]bool{}, time.Now()
}

// wants tells whether a handler uses the inbox.
func (f *foresight) wants(handler string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.handlers[handler]
}

// take returns what is known of an entry, once.
func (f *foresight) take(e handled) (seen, known bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.handlers[e.handler] {
		if f.handlers == nil {
			f.handlers = map[string]bool{}
		}
		f.handlers[e.handler] = true
	}
	f.turn()
	if seen, known = f.now[e]; known {
		delete(f.now, e)
		return seen, true
	}
	if seen, known = f.before[e]; known {
		delete(f.before, e)
	}
	return seen, known
}

// forget drops what is known of messages, because it has changed.
func (f *foresight) forget(handler string, ids []uuid.UUID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, id := range ids {
		e := handled{handler, id}
		delete(f.now, e)
		delete(f.before, e)
		if f.asking > 0 {
			f.changed[e] = struct{}{}
		}
	}
}

// ask begins a question.
func (f *foresight) ask() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.asking++; f.changed == nil {
		f.changed = map[handled]struct{}{}
	}
}

// answer ends a question, which may have no answers.
func (f *foresight) answer(handler string, ids []uuid.UUID, seen []bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.turn()
	for i := range seen {
		e := handled{handler, ids[i]}
		if _, ok := f.changed[e]; !ok {
			f.now[e] = seen[i]
		}
	}
	if f.asking--; f.asking == 0 {
		clear(f.changed)
	}
}

// foresee asks for the inbox's answers about messages that the handler will be
// handed. A failure does no harm: Seen then asks by itself.
func (s *Store) foresee(ctx context.Context, handler string, msgs []*message.Message) {
	if len(msgs) == 0 || !s.foresight.wants(handler) {
		return
	}
	ids := make([]uuid.UUID, len(msgs))
	for i, msg := range msgs {
		ids[i] = entryOf(handler, msg.UUID).id
	}
	s.foresight.ask()
	asked := time.Now()
	cmds := s.questions(ctx, handler, ids)
	var seen []bool
	if send(ctx, s.calls, cmds...) == nil && time.Since(asked) < foresightTrust/2 {
		seen, _ = answers(cmds, len(msgs))
	}
	s.foresight.answer(handler, ids, seen)
}
