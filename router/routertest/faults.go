package routertest

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router"
)

// Faults make the ports of an application misbehave, as brokers and stores do
// behind a bad network. The zero value is ready, and injects nothing until [Faults.On]
// begins a fault:
//
//	var faults routertest.Faults
//	kit := routertest.StartWith(t, faults.Inject, catalogue, handlers...)
//	faults.On("Append").Times(1).LoseAnswer()             // it is done, and its caller gets an error
//	faults.On("Publish user.events").Times(3).Fail()      // later calls succeed
//	faults.On("Deliver send-welcome").Every(10).Duplicate()
//	faults.On("*").Chance(0.01).Fail(errAway)             // anything, now and then
//	faults.End()                                          // nothing fails any more
//
// It is safe for concurrent use.
type Faults struct {
	// Seed decides what [Schedule.Chance] decides: with the same seed the same of a
	// fault's calls fail, counted in the order in which they come.
	Seed uint64

	mu     sync.Mutex
	faults []*Fault
	made   uint64
	// waiting counts the deliveries that [Schedule.Swap] holds back and has
	// acknowledged already.
	waiting int
}

// points are the calls that a fault can be injected into, with the kind of subject that may
// follow the name of each.
func points() map[string]string {
	return map[string]string{
		"Publish": "topic or queue", "Delay": "queue", "HasQueue": "queue", "Declare": "queue", "Deliver": "queue",
		"Mark": "queue", "QueueDepth": "queue", "Flush": "queue",
		"Load": "aggregate", "Append": "aggregate", "Outcomes": "aggregate", "SaveSnapshot": "aggregate",
		"Read": "", "End": "", "Epoch": "", "Checkpoint": "role", "OpenCheckpoint": "role", "SaveCheckpoint": "role", "Lead": "role",
		"ProjectionCursor": "projection", "OpenProjection": "projection", "Rows": "projection", "Commit": "projection", "List": "projection",
		"Seen": "handler", "Record": "handler", "StorePoison": "handler", "CountPoison": "",
		"KeyBlocker": "handler", "BlockKey": "handler", "ParkMessage": "handler", "ReleaseKey": "handler",
		"BeginLedger": "handler", "Standing": "handler", "SyncLedger": "handler", "SetPlace": "handler", "Attend": "handler", "MarkPassed": "handler",
		"LedgerState": "handler", "LedgerBits": "handler", "LedgerPlaces": "handler", "AdvanceLedger": "handler", "SendMark": "handler",
		"LedgerRound": "handler", "SaveLedgerReport": "handler",
		"UnparkMessage": "handler", "CountParked": "handler",
	}
}

// On begins a fault: it names the calls that it may be injected into, and what is said next
// decides when, and last what happens.
//
// A call has the name of the port's method, which its subject may follow:
// "Append" or "Append user" (the aggregate), "Publish user.events" (the
// topic, or the queue), "Delay send-welcome", "Commit user-directory", "Record
// send-welcome", "SaveCheckpoint relay". "Deliver" is a message on its way from a
// queue to its handler ("Deliver send-welcome"), and "*" is every call. On panics if
// there is no such call, since a fault that is never injected tests nothing.
func (f *Faults) On(calls ...string) Schedule {
	for _, c := range calls {
		point, about, _ := strings.Cut(c, " ")
		if what, ok := points()[point]; c != "*" && (!ok || about != "" && what == "") {
			panic(fmt.Sprintf("routertest: no call is named %q; there are * and %v", c, slices.Sorted(maps.Keys(points()))))
		}
	}
	return Schedule{faults: f, calls: calls, every: 1, chance: 1}
}

// Schedule says which calls a fault is injected into: all of them, unless it is narrowed. The
// narrowings add up: Every(10).Times(3) picks the 10th, the 20th and the 30th.
type Schedule struct {
	faults             *Faults
	calls              []string
	skip, every, times int
	chance             float64
}

// Skip lets n calls pass before anything else is counted.
func (s Schedule) Skip(n int) Schedule { s.skip = n; return s }

// Every picks the n-th, 2n-th, 3n-th … call.
func (s Schedule) Every(n int) Schedule { s.every = max(n, 1); return s }

// Times ends the fault after n injections.
func (s Schedule) Times(n int) Schedule { s.times = n; return s }

// Chance picks a call with the given probability, from 0 to 1.
func (s Schedule) Chance(p float64) Schedule { s.chance = p; return s }

// Fail lets a call fail before it has done anything. The error is the given one; if
// there is none, one with the code UNAVAILABLE. A delivery that fails goes
// back to the queue before the handler sees it.
func (s Schedule) Fail(err ...error) *Fault {
	fault := failure(err)
	return s.do(0, func(_ *Fault, hit *injection) { hit.fail = fault })
}

// LoseAnswer lets a call fail after it has done everything: its caller cannot know
// that it has. The error is as with [Schedule.Fail]. Of a delivery the
// acknowledgement is lost, so that a message that was handled comes again.
func (s Schedule) LoseAnswer(err ...error) *Fault {
	fault := failure(err)
	return s.do(0, func(_ *Fault, hit *injection) { hit.lose = fault })
}

// Delay lets a call begin d later, or not at all if its context ends sooner.
func (s Schedule) Delay(d time.Duration) *Fault {
	return s.do(0, func(_ *Fault, hit *injection) { hit.delay += d })
}

// Hold lets a call wait until the fault is ended, or its context.
func (s Schedule) Hold() *Fault {
	return s.do(0, func(x *Fault, hit *injection) { hit.holds = append(hit.holds, x.ended) })
}

// Duplicate lets a call be made twice, as by a client that lost the first answer;
// what is returned is the second one. Each message of a Publish is published twice,
// each event of a Read is there twice (which a log must never do), and a delivered
// message that was handled is delivered once more.
func (s Schedule) Duplicate() *Fault {
	return s.do(1, func(_ *Fault, hit *injection) { hit.twice = true })
}

// Swap swaps adjacent items: the messages of one Publish, the events of one
// Read (which a log must never do), and deliveries: a message then comes after the
// next one of its key, or after 50 ms if there is none. It is acked at once,
// since a queue that keeps order would not deliver the next one otherwise. It is not injected into
// a call with fewer than two items.
func (s Schedule) Swap() *Fault {
	return s.do(2, func(_ *Fault, hit *injection) { hit.swap = true })
}

func failure(err []error) error {
	if len(err) > 0 {
		return err[0]
	}
	return events.Errorf(events.CodeUnavailable, "a fault of the test: it cannot be reached").MayRetry()
}

// do begins a fault. It is not injected into calls with fewer items than it needs.
func (s Schedule) do(needs int, apply func(*Fault, *injection)) *Fault {
	f := s.faults
	x := &Fault{schedule: s, needs: needs, apply: apply, news: make(chan struct{}), ended: make(chan struct{})}
	f.mu.Lock()
	defer f.mu.Unlock()
	x.rand = rand.New(rand.NewPCG(f.Seed, f.made)) //nolint:gosec // The seed is there to be known.
	f.made++
	f.faults = append(f.faults, x)
	return x
}

// Inject puts the faults around every port of a router; it is made for [StartWith].
func (f *Faults) Inject(c *router.Config) {
	c.Transport, c.Log, c.Reader = f.Transport(c.Transport), f.Log(c.Log), f.Reader(c.Reader)
	c.Checkpoints, c.Projections, c.Elector = f.Checkpoints(c.Checkpoints), f.Projections(c.Projections), f.Elector(c.Elector)
	if c.Inbox != nil {
		c.Inbox = f.Inbox(c.Inbox)
	}
	if c.Ledger != nil {
		c.Ledger = f.Ledger(c.Ledger)
	}
	if c.Audit != nil {
		c.Audit = f.AuditLedger(c.Audit)
	}
	if c.Parking != nil {
		c.Parking = f.Parking(c.Parking)
	}
	if c.Poison != nil {
		c.Poison = f.Poison(c.Poison)
	}
}

// End ends all faults that there are.
func (f *Faults) End() {
	f.mu.Lock()
	all := slices.Clone(f.faults)
	f.mu.Unlock()
	for _, x := range all {
		x.End()
	}
}
