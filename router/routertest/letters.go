package routertest

import (
	"context"
	"slices"
	"sync"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router/poison"
)

// PoisonStore keeps poison messages in memory, in the order of their first failure. The
// zero value is ready.
type PoisonStore struct {
	mu   sync.Mutex
	kept []*keptLetter
}

type keptLetter struct {
	poison.Message
	failures []string // those that were counted
}

// StorePoison keeps a letter, or one more failure of a kept one.
func (l *PoisonStore) StorePoison(_ context.Context, letter poison.Message) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	failure := letter.Source + letter.LastFailedAt.Format(events.TimeLayout)
	i := slices.IndexFunc(l.kept, func(k *keptLetter) bool { return k.ID == letter.ID })
	if i < 0 {
		l.kept = append(l.kept, &keptLetter{letter, []string{failure}})
		return nil
	}
	k := l.kept[i]
	if slices.Contains(k.failures, failure) {
		return nil
	}
	letter.Failures = max(letter.Failures, k.Failures+1)
	if k.FirstFailedAt.Before(letter.FirstFailedAt) {
		letter.FirstFailedAt = k.FirstFailedAt
	}
	k.Message, k.failures = letter, append(k.failures, failure)
	return nil
}

// CountPoison counts them by handler.
func (l *PoisonStore) CountPoison(context.Context) (map[string]int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := map[string]int{}
	for _, k := range l.kept {
		out[k.Handler]++
	}
	return out, nil
}

func (l *PoisonStore) remove(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.kept = slices.DeleteFunc(l.kept, func(k *keptLetter) bool { return k.ID == id })
}

// Of returns the letters of a handler.
func (l *PoisonStore) Of(handler string) []poison.Message {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []poison.Message
	for _, k := range l.kept {
		if k.Handler == handler {
			out = append(out, k.Message)
		}
	}
	return out
}
