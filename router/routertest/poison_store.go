package routertest

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router/poison"
)

// PoisonStore keeps poison messages in memory. It is a router.PoisonStore and a
// [poison.Store]. The zero value is ready. It is safe for concurrent use.
type PoisonStore struct {
	mu       sync.Mutex
	kept     map[string]*keptPoison // by id
	changes  []poison.Change        // the oldest first
	claims   map[string]poisonClaim // by id
	revision int64                  // of the latest change
}

type poisonClaim struct {
	operation string
	until     time.Time
}

type keptPoison struct {
	poison.Message
	failures []string // those that were counted
}

// StorePoison stores a poison message, or one more failure of a stored one. The same
// failure again changes nothing; of two that come in the wrong order, the later one
// remains.
func (s *PoisonStore) StorePoison(_ context.Context, m poison.Message) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	// A retried message may fail within the same millisecond, but it brings its number of
	// failures.
	failure := fmt.Sprint(m.LastFailedAt.Format(events.TimeLayout), m.Source, m.Failures)
	k := s.kept[m.ID]
	if k == nil {
		k = s.keep(m)
		k.failures = []string{failure}
		return nil
	}
	if slices.Contains(k.failures, failure) {
		return nil
	}
	failures, first := max(m.Failures, k.Failures+1), k.FirstFailedAt
	if m.FirstFailedAt.Before(first) {
		first = m.FirstFailedAt
	}
	if !m.LastFailedAt.Before(k.LastFailedAt) {
		k.Message = m
		k.Message = k.copy()
	}
	delete(s.claims, m.ID)
	k.Failures, k.FirstFailedAt, k.failures = failures, first, append(k.failures, failure)
	k.Revision = s.next()
	return nil
}

// CountPoison returns how many poison messages there are, by handler.
func (s *PoisonStore) CountPoison(context.Context) (map[string]int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := map[string]int{}
	for _, k := range s.kept {
		out[k.Handler]++
	}
	return out, nil
}

// PoisonMessages returns the messages that a filter selects, as they are when the
// sequence begins, without stack, metadata and body.
func (s *PoisonStore) PoisonMessages(ctx context.Context, f poison.Filter, order poison.Order) iter.Seq2[poison.Message, error] {
	return func(yield func(poison.Message, error) bool) {
		all := s.sorted(func(a, b poison.Message) int {
			return cmp.Or(a.LastFailedAt.Compare(b.LastFailedAt), cmp.Compare(a.ID, b.ID))
		})
		if order == poison.NewestFirst {
			slices.Reverse(all)
		}
		for _, m := range all {
			if err := ctx.Err(); err != nil {
				yield(poison.Message{}, err)
				return
			}
			m.Stack, m.Metadata, m.Body = "", nil, nil
			if f.Match(m) && !yield(m, nil) {
				return
			}
		}
	}
}

// HasPoison reports which poison messages are stored.
func (s *PoisonStore) HasPoison(_ context.Context, ids ...string) ([]bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	has := make([]bool, len(ids))
	for i, id := range ids {
		has[i] = s.kept[id] != nil
	}
	return has, nil
}

// LoadPoison returns whole messages; those that are gone are left out.
func (s *PoisonStore) LoadPoison(_ context.Context, ids ...string) ([]poison.Message, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []poison.Message
	for _, id := range ids {
		if k := s.kept[id]; k != nil {
			out = append(out, k.copy())
		}
	}
	return out, nil
}

// RemovePoison removes the messages that still have the revision they were read with.
func (s *PoisonStore) RemovePoison(_ context.Context, c poison.Change, messages ...poison.Message) ([]poison.Removal, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]poison.Removal, len(messages))
	for i, m := range messages {
		switch k := s.kept[m.ID]; {
		case k == nil:
			out[i] = poison.Gone
		case k.Revision != m.Revision:
			out[i] = poison.Changed
		default:
			delete(s.kept, m.ID)
			delete(s.claims, m.ID)
			s.record(c.Action, c, m)
		}
	}
	return out, nil
}

// ClaimPoison claims messages that no other operation has claimed.
func (s *PoisonStore) ClaimPoison(_ context.Context, operation string, lease time.Duration, ids ...string) ([]poison.Claim, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]poison.Claim, len(ids))
	for i, id := range ids {
		switch {
		case s.kept[id] == nil:
			out[i] = poison.Missing
		case s.claimed(id) && s.claims[id].operation != operation:
			out[i] = poison.Held
		default:
			if s.claims == nil {
				s.claims = map[string]poisonClaim{}
			}
			s.claims[id] = poisonClaim{operation, time.Now().Add(lease)}
		}
	}
	return out, nil
}

// UnclaimPoison ends claims of an operation.
func (s *PoisonStore) UnclaimPoison(_ context.Context, operation string, ids ...string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range ids {
		if s.claims[id].operation == operation {
			delete(s.claims, id)
		}
	}
	return nil
}

// EditPoison replaces the body of a message that still has the revision it was read with.
func (s *PoisonStore) EditPoison(_ context.Context, m poison.Message, body []byte, c poison.Change) (poison.Message, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.kept[m.ID]
	switch {
	case k == nil:
		return m, events.Errorf(events.CodeNotFound, "the poison message %s is gone: it was retried or discarded", m.ID)
	case k.Revision != m.Revision:
		return m, events.Errorf(events.CodeConflict, "the poison message %s has failed again or was edited meanwhile", m.ID).MayRetry()
	case s.claimed(m.ID):
		return m, events.Errorf(events.CodeConflict, "the poison message %s is being retried or discarded", m.ID).MayRetry()
	}
	k.Body, k.Size, k.Revision = slices.Clone(body), len(body), s.next()
	s.record(poison.Edited, c, m)
	return k.copy(), nil
}

// ImportPoison stores a message unless there is one with its id.
func (s *PoisonStore) ImportPoison(_ context.Context, m poison.Message, c poison.Change) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.kept[m.ID] != nil {
		return false, nil
	}
	m.Size = len(m.Body)
	s.keep(m)
	s.record(poison.Imported, c, m)
	return true, nil
}

// PoisonChanges returns the audit trail as it is when the sequence begins, the newest
// change first.
func (s *PoisonStore) PoisonChanges(context.Context) iter.Seq2[poison.Change, error] {
	return func(yield func(poison.Change, error) bool) {
		s.mu.Lock()
		all := slices.Clone(s.changes)
		s.mu.Unlock()
		for _, c := range slices.Backward(all) {
			if !yield(c, nil) {
				return
			}
		}
	}
}

// Of returns the poison messages of a handler, whole, in the order of their first failure.
// They have no revision, which a test could not predict.
func (s *PoisonStore) Of(handler string) []poison.Message {
	all := s.sorted(func(a, b poison.Message) int {
		return cmp.Or(a.FirstFailedAt.Compare(b.FirstFailedAt), cmp.Compare(a.Revision, b.Revision))
	})
	all = slices.DeleteFunc(all, func(m poison.Message) bool { return m.Handler != handler })
	for i := range all {
		all[i].Revision = 0
	}
	return all
}

// sorted returns copies of all messages.
func (s *PoisonStore) sorted(compare func(a, b poison.Message) int) []poison.Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []poison.Message
	for _, k := range s.kept {
		out = append(out, k.copy())
	}
	slices.SortFunc(out, compare)
	return out
}

// The callers of the following hold the lock.

func (s *PoisonStore) keep(m poison.Message) *keptPoison {
	if s.kept == nil {
		s.kept = map[string]*keptPoison{}
	}
	m.Revision = s.next()
	k := &keptPoison{Message: m}
	k.Message = k.copy()
	s.kept[m.ID] = k
	return k
}

// claimed reports whether an operation has claimed a message.
func (s *PoisonStore) claimed(id string) bool { return time.Now().Before(s.claims[id].until) }

func (k *keptPoison) copy() poison.Message {
	m := k.Message
	m.Metadata, m.Body = maps.Clone(m.Metadata), slices.Clone(m.Body)
	return m
}

func (s *PoisonStore) next() int64 {
	s.revision++
	return s.revision
}

func (s *PoisonStore) record(action string, c poison.Change, m poison.Message) {
	c.Action, c.At = action, time.Now().UTC().Truncate(time.Millisecond)
	s.changes = append(s.changes, c.Of(m))
}
