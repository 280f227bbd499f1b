package audit_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router/internal/audit"
	"github.com/pitwheel/pitwheel/router/routertest"
)

const handler = "h"

// world is a log, a relay, one queue and the instances that consume it, all in memory: what
// the auditor looks at, and what can go wrong there.
type world struct {
	fail      func(format string, args ...any)
	store     *routertest.Store
	auditor   *audit.Auditor
	instances []*instance

	mu      sync.Mutex
	relayed uint64
	queue   []uint64 // positions; marks are numbers above markBase
	exists  bool
	delayed map[uint64]time.Time
	poison  map[uint64]bool
	handled map[uint64]int
	healed  int
	total   uint64
}

const markBase = 1 << 40

// instance consumes the queue: it holds what it has received and not finished.
type instance struct {
	id      string
	held    []uint64
	cleared uint64
	asked   uint64   // the mark that it is to answer
	before  []uint64 // what it held when that had passed, as far as it is not finished
}

func newWorld(fail func(string, ...any), instances int) *world {
	w := &world{fail: fail, store: &routertest.Store{}, exists: true, delayed: map[uint64]time.Time{}, poison: map[uint64]bool{}, handled: map[uint64]int{}}
	for i := range instances {
		w.instances = append(w.instances, &instance{id: fmt.Sprint("i", i)})
	}
	w.auditor = audit.New(audit.Config{
		Reader: w.store, Ledger: w.store, Transport: w,
		Relayed: func(context.Context) (events.Cursor, error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			return events.Cursor{w.relayed}, nil
		},
		Begin: func(ctx context.Context, handler string) error {
			_, err := w.store.BeginLedger(ctx, handler, events.LedgerTerm{After: events.Cursor{0}, Types: []string{"A"}})
			return err
		},
		InPoisonStore: func(_ context.Context, _ string, ids []string) ([]bool, error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			has := make([]bool, len(ids))
			for at := range w.poison {
				e, _ := w.store.Read(context.Background(), events.Cursor{at - 1}, 1, 0)
				if i := slices.Index(ids, e[0].ID); i >= 0 {
					has[i] = true
				}
			}
			return has, nil
		},
		Declare: func(context.Context, string) error {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.exists = true
			return nil
		},
		Healed: func(_ string, n int) { w.healed += n },
		Logger: slog.New(slog.DiscardHandler),
	}, []audit.Handler{{Name: handler, Queue: "q", Topic: "user.events"}})
	return w
}

// run runs the auditor while f is under way.
func (w *world) run(f func(ctx context.Context)) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = w.auditor.Run(ctx) })
	f(ctx)
	cancel()
	running.Wait()
}

// append adds an event that the handler owes, or another one.
func (w *world) append(owed bool) {
	w.total++
	e := events.Envelope{Header: events.Header{ID: events.NewID(), Type: "B", Version: 1, Timestamp: time.Now()}}
	if owed {
		e.Type = "A"
	}
	id := strconv.FormatUint(w.total, 10)
	_, err := w.store.Append(context.Background(), events.AppendRequest{Aggregate: "user", AggregateID: id, Events: []events.Envelope{e},
		Outcome: events.Outcome{Status: events.StatusAccepted, CommandID: events.NewID()}})
	if err != nil {
		w.fail("%v", err)
	}
}

// relay publishes the next event; lost is what happens to it then.
func (w *world) relay(lost bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.relayed == w.total {
		return
	}
	w.relayed++
	got, _ := w.store.Read(context.Background(), events.Cursor{w.relayed - 1}, 1, 0)
	if got[0].Type == "A" && !lost && w.exists {
		w.queue = append(w.queue, w.relayed)
	}
}

// receive gives an instance the next message of the queue.
func (w *world) receive(i *instance) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	for at, due := range w.delayed {
		if !due.After(now) {
			delete(w.delayed, at)
			w.queue = append(w.queue, at)
		}
	}
	if len(w.queue) == 0 {
		return
	}
	next := w.queue[0]
	w.queue = w.queue[1:]
	if next > markBase {
		_ = w.store.MarkPassed(context.Background(), handler, next-markBase)
		return
	}
	i.held = append(i.held, next)
}

// finish ends the work on the message that the instance holds at an index.
func (w *world) finish(i *instance, index int, how string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(i.held) == 0 {
		return
	}
	index %= len(i.held)
	at := i.held[index]
	i.held = slices.Delete(i.held, index, index+1)
	i.before = slices.DeleteFunc(i.before, func(p uint64) bool { return p == at })
	where := events.LogPosition{Position: at}
	ctx := context.Background()
	if is, _ := w.store.Standing(ctx, handler, where); is == events.Settled {
		return // A duplicate.
	}
	switch how {
	case "handle":
		w.handled[at]++
		w.store.Settle(handler, where, events.Handled)
	case "delay":
		due := time.Now().Add(7 * time.Second)
		_ = w.store.SetPlace(ctx, handler, where, events.Place{Kind: events.PlaceDelayed, Until: due})
		w.delayed[at] = due
	case "poison":
		_ = w.store.SetPlace(ctx, handler, where, events.Place{Kind: events.PlacePoison})
		w.poison[at] = true
	}
}

// attend answers the marks, as every instance does once a second.
func (w *world) attend(i *instance) {
	passed, _ := w.store.Attend(context.Background(), handler, i.id, i.cleared)
	w.mu.Lock()
	defer w.mu.Unlock()
	if i.asked > 0 && len(i.before) == 0 {
		i.cleared, i.asked = i.asked, 0
	}
	if i.asked == 0 && passed > i.cleared {
		i.asked, i.before = passed, slices.Clone(i.held)
	}
}

// crash ends an instance: what it held is delivered again, and another one takes its place.
func (w *world) crash(i *instance) {
	w.mu.Lock()
	defer w.mu.Unlock()
	_ = w.store.Leave(context.Background(), handler, i.id)
	w.queue = append(slices.Clone(i.held), w.queue...)
	*i = instance{id: i.id + "'"}
}

// isAnywhere reports whether an event need not be delivered again. It is called with mu held.
func (w *world) isAnywhere(at uint64) bool {
	_, delayed := w.delayed[at]
	anywhere := delayed || w.poison[at] || w.handled[at] > 0 || slices.Contains(w.queue, at)
	for _, i := range w.instances {
		anywhere = anywhere || slices.Contains(i.held, at)
	}
	return anywhere
}

// Publish implements message.Publisher: the auditor delivers events again.
func (w *world) Publish(_ string, msgs ...*message.Message) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, msg := range msgs {
		at, _ := strconv.ParseUint(msg.Metadata[events.MetaLogPosition], 10, 64)
		if w.isAnywhere(at) {
			w.fail("position %d is delivered again, and was not lost", at)
		}
		w.queue = append(w.queue, at)
	}
	return nil
}

func (w *world) Close() error                      { return nil }
func (w *world) QueuePublisher() message.Publisher { return w }

func (w *world) Mark(_ context.Context, _, _ string, msg *message.Message) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.exists {
		return events.Errorf(events.CodeNotFound, "no queue")
	}
	n, _ := strconv.ParseUint(msg.Metadata[events.MetaMark], 10, 64)
	w.queue = append(w.queue, markBase+n)
	return nil
}

func (w *world) Unacknowledged(context.Context, string, string) (int, error) { return 0, nil }

func (w *world) QueueDepth(_ context.Context, _, name string) (int, bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if name != "q" {
		return 0, true, nil // What is poison is stored at once.
	}
	return len(w.queue), w.exists, nil
}

// step lets instances work for a while.
func (w *world) step(handle func(n int) string) {
	for n := range 6 {
		for _, i := range w.instances {
			w.receive(i)
			w.finish(i, n, handle(n))
		}
	}
	for _, i := range w.instances {
		w.attend(i)
	}
	pass(time.Second)
}

// pass lets time pass, in a bubble where that takes none.
func pass(d time.Duration) { time.Sleep(d) } //nolint:forbidigo // It is the time of a bubble.

// books returns the report of the auditor.
func (w *world) books() events.LedgerReport {
	r, _ := w.store.LedgerReports(context.Background())
	return r[handler]
}

// balanced reports whether the books add up, and nothing is open but poison messages.
func (w *world) balanced() error {
	r := w.books()
	if r.Events != r.Handled+r.Discarded+r.Poison+r.Parked+r.Waiting+r.Missing {
		return fmt.Errorf("the books do not add up: %+v", r)
	}
	if int(r.Handled) != len(w.handled) || int(r.Poison) != len(w.poison) || r.Waiting+r.Missing > 0 {
		return fmt.Errorf("%d are handled and %d poison, and the books say %+v", len(w.handled), len(w.poison), r)
	}
	return nil
}
