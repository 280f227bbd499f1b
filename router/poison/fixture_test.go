package poison_test

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router/poison"
	"github.com/pitwheel/pitwheel/router/routertest"
)

// fixture is an Admin on memory, whose queues and store a test can watch and let fail.
type fixture struct {
	*poison.Admin
	store   *watchedStore
	parking *routertest.Store
	queues  *queues
}

func newFixture(t interface{ Fatal(...any) }) *fixture {
	f := &fixture{store: &watchedStore{Store: &routertest.PoisonStore{}}, parking: &routertest.Store{}, queues: &queues{missing: map[string]bool{}}}
	var err error
	if f.Admin, err = poison.New(poison.Config{Store: f.store, Queues: f.queues, Parking: f.parking}); err != nil {
		t.Fatal(err)
	}
	return f
}

// failed returns poison message number n: it failed n minutes after ten.
func failed(n int) poison.Message {
	id := fmt.Sprintf("6f2b1f6e-52a1-4d0c-9a55-%012d", n)
	body := fmt.Appendf(nil, `{"id":%q,"type":"USER_CREATED","data":{"userId":"u%d"}}`, id, n)
	at := time.Date(2026, 11, 27, 10, n, 0, 0, time.UTC)
	return poison.Message{
		ID: poison.ID("greet", id), Handler: "greet", Kind: "reaction", Queue: "greetings", Type: "USER_CREATED", Key: fmt.Sprint("u", n), MessageID: id,
		Code: "TIMEOUT", Source: poison.FromRouter, Attempts: 5, Failures: 1, FirstFailedAt: at, LastFailedAt: at, Size: len(body), Body: body,
		Metadata: map[string]string{"type": "USER_CREATED"},
	}
}

// again returns the failure of a message after it was retried.
func again(m poison.Message) poison.Message {
	m.Failures++
	m.LastFailedAt = m.LastFailedAt.Add(time.Hour)
	return m
}

// fill stores messages 0 to n-1, each changed by adapt if that is not nil.
func (f *fixture) fill(t testing.TB, n int, adapt func(int, *poison.Message)) []poison.Message {
	t.Helper()
	all := make([]poison.Message, n)
	for i := range all {
		all[i] = failed(i)
		if adapt != nil {
			adapt(i, &all[i])
			all[i].ID = poison.ID(all[i].Handler, all[i].MessageID)
		}
		f.keep(t, all[i])
	}
	return all
}

func (f *fixture) keep(t testing.TB, m poison.Message) {
	t.Helper()
	if err := f.store.Store.StorePoison(t.Context(), m); err != nil {
		t.Fatal(err)
	}
}

func (f *fixture) plan(t testing.TB, ids ...string) poison.Plan {
	t.Helper()
	p, err := f.Plan(t.Context(), poison.Selection{IDs: ids})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// left returns how many messages are in the store.
func (f *fixture) left(t testing.TB) int {
	t.Helper()
	return len(collect(t, f.store.Store.PoisonMessages(t.Context(), poison.Filter{}, poison.OldestFirst)))
}

func collect[T any](t testing.TB, all iter.Seq2[T, error]) []T {
	t.Helper()
	var out []T
	for v, err := range all {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, v)
	}
	return out
}

// watchedStore counts the calls of a store that load and remove, and lets them fail.
type watchedStore struct {
	Store  *routertest.PoisonStore
	before func(call string) error // nil: nothing happens
	after  func(call string) error
	mu     sync.Mutex
	loaded []int // how many messages each call of LoadPoison was for
}

func (s *watchedStore) around(call string, do func() error) error {
	if s.before != nil {
		if err := s.before(call); err != nil {
			return err
		}
	}
	if err := do(); err != nil || s.after == nil {
		return err
	}
	return s.after(call)
}

func (s *watchedStore) PoisonMessages(ctx context.Context, f poison.Filter, o poison.Order) iter.Seq2[poison.Message, error] {
	return s.Store.PoisonMessages(ctx, f, o)
}

func (s *watchedStore) LoadPoison(ctx context.Context, ids ...string) (out []poison.Message, err error) {
	s.mu.Lock()
	s.loaded = append(s.loaded, len(ids))
	s.mu.Unlock()
	err = s.around("load", func() error { out, err = s.Store.LoadPoison(ctx, ids...); return err })
	return out, err
}

func (s *watchedStore) ClaimPoison(ctx context.Context, operation string, lease time.Duration, ids ...string) (out []poison.Claim, err error) {
	err = s.around("claim", func() error { out, err = s.Store.ClaimPoison(ctx, operation, lease, ids...); return err })
	return out, err
}

func (s *watchedStore) UnclaimPoison(ctx context.Context, operation string, ids ...string) error {
	return s.Store.UnclaimPoison(ctx, operation, ids...)
}

func (s *watchedStore) RemovePoison(ctx context.Context, c poison.Change, messages ...poison.Message) (out []poison.Removal, err error) {
	err = s.around("remove", func() error { out, err = s.Store.RemovePoison(ctx, c, messages...); return err })
	if err != nil {
		return nil, err
	}
	return out, nil
}

func (s *watchedStore) EditPoison(ctx context.Context, m poison.Message, body []byte, c poison.Change) (poison.Message, error) {
	return s.Store.EditPoison(ctx, m, body, c)
}

func (s *watchedStore) ImportPoison(ctx context.Context, m poison.Message, c poison.Change) (bool, error) {
	return s.Store.ImportPoison(ctx, m, c)
}

func (s *watchedStore) PoisonChanges(ctx context.Context) iter.Seq2[poison.Change, error] {
	return s.Store.PoisonChanges(ctx)
}

// queues remember what was published, and fail when a test wants it.
type queues struct {
	mu        sync.Mutex
	published []*message.Message
	topics    []string
	missing   map[string]bool
	away      error                                  // for HasQueue
	before    func(queue string, ids []string) error // nil: nothing happens
	after     func(queue string, ids []string) error
}

func (q *queues) HasQueue(_ context.Context, name string) (bool, error) {
	return !q.missing[name], q.away
}

func (q *queues) QueuePublisher() message.Publisher { return q }

func (q *queues) Close() error { return nil }

func (q *queues) Publish(queue string, msgs ...*message.Message) error {
	ids := make([]string, len(msgs))
	for i, m := range msgs {
		ids[i] = m.UUID
	}
	if q.before != nil {
		if err := q.before(queue, ids); err != nil {
			return err
		}
	}
	q.mu.Lock()
	for _, m := range msgs {
		q.published, q.topics = append(q.published, m), append(q.topics, queue)
	}
	q.mu.Unlock()
	if q.after != nil {
		return q.after(queue, ids)
	}
	return nil
}

// times returns how often a message was published.
func (q *queues) times(id string) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := 0
	for _, m := range q.published {
		if m.UUID == id {
			n++
		}
	}
	return n
}

// ids returns the ids of what was published, in order.
func (q *queues) ids() []string {
	q.mu.Lock()
	defer q.mu.Unlock()
	var out []string
	for _, m := range q.published {
		out = append(out, m.UUID)
	}
	return out
}

var errAway = events.Errorf(events.CodeUnavailable, "the broker is away").MayRetry()

// once returns a function that fails the first time.
func once[A, B any](err error) func(A, B) error {
	done := false
	return func(A, B) error {
		if done {
			return nil
		}
		done = true
		return err
	}
}

func check(t testing.TB, got poison.Tally, matched, done, failedAgain, failed, problems int) {
	t.Helper()
	if got.Matched != matched || got.Done != done || got.FailedAgain != failedAgain || got.Failed != failed || len(got.Problems) != problems {
		t.Errorf("the tally is %+v, want matched %d, done %d, failed again %d, failed %d, problems %d", got, matched, done, failedAgain, failed, problems)
	}
}

func sameIDs(t testing.TB, what string, got []string, want ...string) {
	t.Helper()
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}
