package router_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router"
	"github.com/pitwheel/pitwheel/router/routertest"
	"github.com/pitwheel/pitwheel/router/routertest/sample"
)

// register accepts a user once, and refuses the second time.
func register(_ context.Context, c sample.Create, u sample.User) ([]events.Data, error) {
	if u.Exists() {
		return nil, events.Reject("USER_EXISTS", "there is a user %s already", c.UserID)
	}
	return []events.Data{sample.Created{UserID: c.UserID, Email: c.Email, Name: c.Name}}, nil
}

// move accepts every new address.
func move(_ context.Context, c sample.ChangeEmail, _ sample.User) ([]events.Data, error) {
	return []events.Data{sample.EmailChanged{UserID: c.UserID, Email: c.Email}}, nil
}

// tally is a row that has seen every event of its user.
type tally struct {
	Versions []uint64
}

func see[E events.Data](r *tally, e router.Event[E]) error {
	r.Versions = append(r.Versions, e.Version)
	return nil
}

// recorder is a reaction that records what it handles, by user.
type recorder struct {
	mu   sync.Mutex
	seen map[string][]uint64
	fail map[uint64]error // by version, once
}

func (w *recorder) handle(_ context.Context, e router.Event[sample.EmailChanged]) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.fail[e.Version]; err != nil {
		delete(w.fail, e.Version)
		return err
	}
	if w.seen == nil {
		w.seen = map[string][]uint64{}
	}
	w.seen[e.AggregateID] = append(w.seen[e.AggregateID], e.Version)
	return nil
}

func (w *recorder) of(id string) []uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.seen[id])
}

// firsts leaves out what was there before.
func firsts(in []uint64) []uint64 {
	var out []uint64
	for _, v := range in {
		if !slices.Contains(out, v) {
			out = append(out, v)
		}
	}
	return out
}

func upTo(from, to uint64) []uint64 {
	var out []uint64
	for v := from; v <= to; v++ {
		out = append(out, v)
	}
	return out
}

// application returns one handler of each kind, and a second command handler.
func application(w *recorder) []router.Handler {
	return []router.Handler{
		router.Decide("register", register), router.Decide("move", move),
		router.On("w", w.handle, router.Policy{Ordered: true, Attempts: 3}),
		router.Project("p", router.Case(see[sample.Created]), router.Case(see[sample.EmailChanged])),
	}
}

// send sends a command until it has an outcome, as a client does: under one id.
func send(t testing.TB, kit *routertest.Kit, cmd events.Command, id string) events.Outcome {
	t.Helper()
	var err error
	for range 1000 {
		var receipt events.Receipt
		if receipt, err = kit.Commands().Send(t.Context(), cmd, events.SendOptions{ID: id}); err != nil {
			continue
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		outcome, aerr := kit.Commands().Await(ctx, receipt)
		cancel()
		if err = aerr; err == nil {
			return outcome
		}
	}
	t.Fatalf("no outcome: %v", err)
	return events.Outcome{}
}

// verify checks that a user's events are 1 to last: in the log, on the bus (where one may
// be repeated, and, if mixed, in any order), and in the projection.
func verify(t interface {
	Helper()
	Errorf(string, ...any)
}, kit *routertest.Kit, id string, last uint64, mixed ...bool,
) {
	t.Helper()
	want := upTo(1, last)
	h, err := kit.Store().Load(context.Background(), "user", id, "")
	if err != nil || h.Version() != last {
		t.Errorf("the log of %s is at %d (%v), want %d", id, h.Version(), err, last)
	}
	var r tally
	kit.Row("p", id, &r)
	if diff := cmp.Diff(want, r.Versions); diff != "" {
		t.Errorf("the projection of %s (-want +got):\n%s", id, diff)
	}
	var published []uint64
	for _, e := range kit.Published("user.events") {
		if e.AggregateID == id {
			published = append(published, e.Version)
		}
	}
	published = firsts(published)
	if slices.Contains(mixed, true) {
		slices.Sort(published)
	}
	if diff := cmp.Diff(want, published); diff != "" {
		t.Errorf("published of %s (-want +got):\n%s", id, diff)
	}
}

// bubble runs a test on a clock of its own, on which waiting takes no time.
func bubble(t *testing.T, f func(*testing.T)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, f)
}
