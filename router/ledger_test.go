package router_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router"
	"github.com/pitwheel/pitwheel/router/poison"
	"github.com/pitwheel/pitwheel/router/routertest"
	"github.com/pitwheel/pitwheel/router/routertest/sample"
)

// ledgered is a store and a transport on which routers run with a ledger.
type ledgered struct {
	t         *testing.T
	store     *routertest.Store
	kept      *routertest.PoisonStore
	transport *losing
	commands  *router.Commands
	faults    routertest.Faults

	mu      sync.Mutex
	handled []string // the names of users, in order
}

// losing is a transport that loses events: the broker confirms them, and no queue gets them.
type losing struct {
	*routertest.Transport
	mu    sync.Mutex
	loses bool
	all   []*message.Message // that were published as events
}

func (l *losing) Publisher() message.Publisher { return losingPublisher{l.Transport.Publisher(), l} }

func (l *losing) set(loses bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.loses = loses
}

type losingPublisher struct {
	message.Publisher
	of *losing
}

func (p losingPublisher) Publish(topic string, msgs ...*message.Message) error {
	p.of.mu.Lock()
	lost := p.of.loses
	if topic == "user.events" {
		p.of.all = append(p.of.all, msgs...)
	}
	p.of.mu.Unlock()
	if lost && topic == "user.events" {
		return nil
	}
	return p.Publisher.Publish(topic, msgs...)
}

func newLedgered(t *testing.T) *ledgered {
	l := &ledgered{t: t, store: &routertest.Store{}, kept: &routertest.PoisonStore{}, transport: &losing{Transport: &routertest.Transport{}}}
	var err error
	l.commands, err = router.NewCommands(router.CommandsConfig{Catalogue: catalogue(t), Publisher: l.transport.Publisher(), Log: l.store})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// note returns a reaction that notes the names of users.
func (l *ledgered) note(policy router.Policy, fail func(name string) error) router.Handler {
	return router.On("note", func(_ context.Context, e router.Event[sample.Created]) error {
		if fail != nil {
			if err := fail(e.Data.Name); err != nil {
				return err
			}
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		l.handled = append(l.handled, e.Data.Name)
		return nil
	}, policy)
}

func (l *ledgered) router(handlers ...router.Handler) *router.Router {
	r, err := router.New(router.Config{
		Catalogue: catalogue(l.t), Handlers: handlers, Transport: l.transport,
		Log: l.store, Reader: l.store, Checkpoints: l.store, Projections: l.store, Elector: l.store,
		Ledger: l.faults.Ledger(l.store), Audit: l.faults.AuditLedger(l.store), Marker: l.transport, Inbox: l.store, Poison: l.kept, Parking: l.store,
	})
	if err != nil {
		l.t.Fatal(err)
	}
	return r
}

// run runs a router with handlers while f is under way.
func (l *ledgered) run(f func(r *router.Router), handlers ...router.Handler) {
	r := l.router(append(handlers, sample.Handlers(nil)[0])...)
	ctx, stop := context.WithCancel(l.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	<-r.Running()
	f(r)
	stop()
	if err := <-ended; err != nil {
		l.t.Error(err)
	}
}

// register registers users.
func (l *ledgered) register(names ...string) {
	for _, name := range names {
		if _, err := l.commands.Execute(l.t.Context(), sample.Create{Email: "u@example.com", Name: name}, events.SendOptions{}); err != nil {
			l.t.Fatal(err)
		}
	}
}

// pass lets time pass.
func pass(d time.Duration) {
	time.Sleep(d) //nolint:forbidigo // It is the time of a bubble.
	synctest.Wait()
}

func (l *ledgered) wantHandled(want ...string) {
	l.t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	if diff := cmp.Diff(want, l.handled, cmpopts.EquateEmpty()); diff != "" {
		l.t.Errorf("handled (-want +got):\n%s", diff)
	}
}

// wantBooks compares the books, and those that the auditor has reported.
func (l *ledgered) wantBooks(r *router.Router, want events.LedgerReport) {
	l.t.Helper()
	want.Handler = "note"
	ignore := cmpopts.IgnoreFields(events.LedgerReport{}, "At", "OldestSeconds")
	got, _, err := r.Books(l.t.Context(), "note", 0, false)
	if err != nil {
		l.t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, ignore); diff != "" {
		l.t.Errorf("books (-want +got):\n%s", diff)
	}
	reports, _ := l.store.LedgerReports(l.t.Context())
	if diff := cmp.Diff(want, reports["note"], ignore); diff != "" {
		l.t.Errorf("report (-want +got):\n%s", diff)
	}
}

// What the broker has lost is delivered again, once.
func TestRouter_Ledger_DeliversWhatIsMissing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := newLedgered(t)
		l.run(func(r *router.Router) {
			l.register("a", "b")
			pass(time.Second)
			l.transport.set(true)
			l.register("c", "d")
			pass(time.Second)
			l.transport.set(false)
			l.register("e")
			pass(time.Second)
			l.wantHandled("a", "b", "e")
			l.wantBooks(r, events.LedgerReport{Events: 5, Handled: 3, Waiting: 2})
			pass(time.Minute)
			l.wantHandled("a", "b", "e", "c", "d")
			l.wantBooks(r, events.LedgerReport{Events: 5, Handled: 5, Healed: 2})
		}, l.note(router.Policy{Concurrency: 1}, nil))
	})
}

// Without an instance that consumes, what the queue lacks is missing at once.
func TestRouter_Ledger_NobodyConsumes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := newLedgered(t)
		note := l.note(router.Policy{}, nil)
		paused := l.note(router.Policy{Paused: true}, nil)
		l.run(func(*router.Router) { pass(time.Second) }, note) // Its ledger begins.
		l.transport.set(true)
		l.run(func(r *router.Router) {
			l.register("a")
			pass(2 * time.Second)
			report, open, err := r.Books(t.Context(), "note", 10, true)
			if err != nil || report.Missing != 1 || len(open) != 1 || open[0].Place != "missing" {
				t.Errorf("books %+v, open %+v, %v; want one that is missing", report, open, err)
			}
			l.transport.set(false)
			pass(2 * time.Minute)
			l.wantBooks(r, events.LedgerReport{Events: 1, Waiting: 1, Healed: 1})
		}, paused)
		l.run(func(r *router.Router) {
			pass(time.Minute)
			l.wantHandled("a")
			l.wantBooks(r, events.LedgerReport{Events: 1, Handled: 1, Healed: 1})
		}, note)
	})
}

// Messages that wait for an attempt, in memory or at the broker, and poison messages are not
// missing, however long it takes.
func TestRouter_Ledger_KnowsWhereMessagesWait(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := newLedgered(t)
		var broken atomic.Bool
		broken.Store(true)
		l.run(func(r *router.Router) {
			l.register("slow", "bad", "good")
			pass(10 * time.Minute)
			l.wantHandled("good")
			l.wantBooks(r, events.LedgerReport{Events: 3, Handled: 1, Poison: 1, Waiting: 1})
			broken.Store(false)
			pass(time.Hour)
			l.wantHandled("good", "slow")
			l.wantBooks(r, events.LedgerReport{Events: 3, Handled: 2, Poison: 1})
		}, l.note(router.Policy{Concurrency: 1}, func(name string) error {
			switch {
			case name == "bad" && broken.Load():
				return events.Permanent(errors.New("bad"))
			case name == "slow" && broken.Load():
				return events.RetryAfter(20*time.Minute, errors.New("not yet"))
			}
			return nil
		}))
		l.retryAndDiscard()
	})
}

// retryAndDiscard retries the poison message, which fails again, and then discards it.
func (l *ledgered) retryAndDiscard() {
	admin, err := poison.New(poison.Config{Store: l.kept, Queues: l.transport, Ledger: router.NewPoisonLedger(l.store)})
	if err != nil {
		l.t.Fatal(err)
	}
	plan := func() poison.Plan {
		p, err := admin.Plan(l.t.Context(), poison.Selection{})
		if err != nil {
			l.t.Fatal(err)
		}
		return p
	}
	l.run(func(r *router.Router) {
		if _, err := admin.Retry(l.t.Context(), plan(), poison.Options{Who: "me", Why: "test"}); err != nil {
			l.t.Fatal(err)
		}
		pass(time.Minute)
		l.wantBooks(r, events.LedgerReport{Events: 3, Handled: 2, Poison: 1})
		if _, err := admin.Discard(l.t.Context(), plan(), poison.Options{Who: "me", Why: "test"}); err != nil {
			l.t.Fatal(err)
		}
		pass(time.Minute)
		l.wantBooks(r, events.LedgerReport{Events: 3, Handled: 2, Discarded: 1})
	}, l.note(router.Policy{Concurrency: 1}, func(string) error { return events.Permanent(errors.New("bad")) }))
}

// A new reaction begins where it is deployed, or where it asks for it, with all of history; a
// replay gives it what was before, and once more what it has settled if that is asked for.
func TestRouter_Ledger_Beginning(t *testing.T) {
	for name, c := range map[string]struct {
		from  router.From
		first []string
		books events.LedgerReport
	}{
		"deployment": {router.Deployment, nil, events.LedgerReport{}},
		"beginning":  {router.Beginning, []string{"a", "b"}, events.LedgerReport{Events: 2, Handled: 2, Healed: 2}},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				l := newLedgered(t)
				l.run(func(*router.Router) {
					l.register("a", "b")
					pass(time.Second)
				})
				l.run(func(r *router.Router) {
					pass(time.Minute)
					l.wantHandled(c.first...)
					l.wantBooks(r, c.books)
					for range 2 { // The second time all of it is settled, or in the inbox.
						if _, err := r.Replay(t.Context(), "note", router.ReplayOptions{}); err != nil {
							t.Fatal(err)
						}
						pass(time.Second)
						l.wantHandled("a", "b")
					}
					for range 2 {
						tally, err := r.Replay(t.Context(), "note", router.ReplayOptions{Again: "x"})
						if err != nil || tally.Delivered != 2 {
							t.Fatalf("%+v, %v", tally, err)
						}
						pass(time.Second)
						l.wantHandled("a", "b", "a", "b")
					}
					l.wantBooks(r, c.books)
				}, l.note(router.Policy{Concurrency: 1, From: c.from}, nil))
			})
		})
	}
}

// Deduplication has no end: what was settled long ago is not handled again, though no inbox
// knows it.
func TestRouter_Ledger_DuplicatesForEver(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := newLedgered(t)
		l.run(func(r *router.Router) {
			l.register("a", "b")
			pass(time.Minute) // The watermark has passed them.
			for _, msg := range l.transport.all {
				if err := l.transport.Publisher().Publish("user.events", msg.Copy()); err != nil {
					t.Fatal(err)
				}
			}
			pass(time.Minute)
			l.wantHandled("a", "b")
			l.wantBooks(r, events.LedgerReport{Events: 2, Handled: 2})
		}, l.note(router.Policy{Concurrency: 1}, nil))
	})
}

// Calls of the ledger fail, before or after they have done their work, while the broker loses
// events: all are handled once, and the books are right in the end.
func TestRouter_Ledger_CallsFail(t *testing.T) {
	bubble(t, func(t *testing.T) {
		for seed := range uint64(5) {
			l := newLedgered(t)
			l.faults.Seed = seed
			var failing []*routertest.Fault
			for _, call := range []string{"Standing", "SyncLedger", "SetPlace", "AdvanceLedger"} {
				failing = append(failing, l.faults.On(call).Chance(0.3).Fail())
			}
			failing = append(failing, l.faults.On("SyncLedger", "AdvanceLedger").Chance(0.1).LoseAnswer())
			var want []string
			l.run(func(r *router.Router) {
				for i := range 60 {
					l.transport.set(i%3 == 0)
					name := fmt.Sprint("u", i)
					l.register(name)
					pass(300 * time.Millisecond) // The relay has published it.
					want = append(want, name)
				}
				l.transport.set(false)
				pass(5 * time.Minute)
				for i, f := range failing {
					if f.Injected() == 0 && i != 2 { // A place is set only of what waits long.
						t.Errorf("fault %d was never injected", i)
					}
				}
				l.faults.End()
				pass(5 * time.Minute)
				l.mu.Lock()
				slices.Sort(l.handled)
				l.mu.Unlock()
				slices.Sort(want)
				l.wantHandled(want...)
				report, _, err := r.Books(t.Context(), "note", 0, false)
				if err != nil || report.Events != 60 || report.Handled != 60 {
					t.Errorf("the books are %+v, %v", report, err)
				}
			}, l.note(router.Policy{Concurrency: 1}, nil))
		}
	})
}
