package router_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"pgregory.net/rapid"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router"
	"github.com/pitwheel/pitwheel/router/routertest"
	"github.com/pitwheel/pitwheel/router/routertest/sample"
)

// scripted is a handler that returns what a test tells it to, and records what it has
// handled.
type scripted struct {
	mu      sync.Mutex
	answers map[string][]error // by name, one for each attempt; nil afterwards
	handled map[string][]string
}

func (w *scripted) handle(_ context.Context, e router.Event[sample.Created]) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if left := w.answers[e.Data.Name]; len(left) > 0 {
		w.answers[e.Data.Name] = left[1:]
		if left[0] != nil {
			return left[0]
		}
	}
	if w.handled == nil {
		w.handled = map[string][]string{}
	}
	w.handled[e.Data.UserID] = append(w.handled[e.Data.UserID], e.Data.Name)
	return nil
}

func (w *scripted) of(key string) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.handled[key])
}

func (w *scripted) answer(name string, with ...error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.answers == nil {
		w.answers = map[string][]error{}
	}
	w.answers[name] = with
}

func (w *scripted) ordered() router.Handler {
	return router.On("h", w.handle, router.Policy{Ordered: true, Attempts: 3})
}

var (
	errNever = events.Permanent(errors.New("never"))
	errLater = events.RetryAfter(2*time.Millisecond, errors.New("later"))
)

func TestPolicy_Ordered_ThroughDelays(t *testing.T) {
	t.Parallel()
	w := &scripted{}
	w.answer("a1", errLater, errLater)
	w.answer("a3", errLater)
	kit := routertest.StartWith(t, allDelayed, catalogue(t), w.ordered())
	kit.Record(named(ada, "a1"), named(ada, "a2"), named(bob, "b1"), named(ada, "a3"), named(ada, "a4"), named(bob, "b2"))
	if got := strings.Join(w.of(ada), " "); got != "a1 a2 a3 a4" {
		t.Errorf("ada's events were handled as %s", got)
	}
	if got := strings.Join(w.of(bob), " "); got != "b1 b2" {
		t.Errorf("bob's events were handled as %s", got)
	}
	mustBeFree(t, kit)
}

func TestPolicy_Ordered_PoisonMessageBlocksItsKeyAndNoOther(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		fix  func(*routertest.Kit, *scripted)
		want string
	}{
		{"retried", func(k *routertest.Kit, _ *scripted) { k.Retry("h") }, "a1 a2 a3 a4"},
		{"discarded", func(k *routertest.Kit, _ *scripted) { k.Discard("h") }, "a1 a3 a4"},
		{"retried in vain, and again", func(k *routertest.Kit, w *scripted) {
			w.answer("a2", errNever)
			k.Retry("h")
			k.Record(named(ada, "a5"))
			k.Retry("h")
		}, "a1 a2 a3 a4 a5"},
		{"the next one fails as well", func(k *routertest.Kit, w *scripted) {
			w.answer("a3", errLater, errNever)
			k.Retry("h")
			k.Discard("h")
		}, "a1 a2 a4"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := &scripted{}
			w.answer("a2", errLater, errNever)
			reg := prometheus.NewRegistry()
			kit := routertest.StartWith(t, func(c *router.Config) {
				allDelayed(c)
				c.Metrics, _ = router.NewMetrics(reg)
			}, catalogue(t), w.ordered())
			kit.Record(named(ada, "a1"), named(ada, "a2"), named(ada, "a3"), named(bob, "b1"))
			kit.Record(named(ada, "a4"), named(bob, "b2"))
			if got := strings.Join(w.of(ada), " "); got != "a1" {
				t.Errorf("behind the poisoned message ada's events were handled as %s", got)
			}
			if got := strings.Join(w.of(bob), " "); got != "b1 b2" {
				t.Errorf("bob's events were handled as %s", got)
			}
			eventually(t, "the metrics show what is parked", func() bool {
				return testutil.CollectAndCompare(reg, strings.NewReader(`
# HELP pitwheel_handler_blocked_keys Keys with a failed message that others have to wait behind, for handlers that ask for order.
# TYPE pitwheel_handler_blocked_keys gauge
pitwheel_handler_blocked_keys{handler_name="h"} 1
# HELP pitwheel_handler_parked_messages Messages that wait behind a failed one of their key, for handlers that ask for order.
# TYPE pitwheel_handler_parked_messages gauge
pitwheel_handler_parked_messages{handler_name="h"} 2
`), "pitwheel_handler_blocked_keys", "pitwheel_handler_parked_messages") == nil
			})
			tt.fix(kit, w)
			if got := strings.Join(w.of(ada), " "); got != tt.want {
				t.Errorf("ada's events were handled as %s, want %s", got, tt.want)
			}
			mustBeFree(t, kit)
		})
	}
}

// A handler that does not ask for order is not held up by anything.
func TestPolicy_Ordered_NothingIsParkedWithoutIt(t *testing.T) {
	t.Parallel()
	w := &scripted{}
	w.answer("a1", errNever)
	kit := routertest.StartWith(t, func(c *router.Config) { c.Parking = noParking{} }, catalogue(t), router.On("h", w.handle))
	kit.Record(named(ada, "a1"), named(ada, "a2"))
	if got := strings.Join(w.of(ada), " "); got != "a2" {
		t.Errorf("ada's events were handled as %s", got)
	}
}

// noParking must not be called: all its methods are nil.
type noParking struct{ router.Parking }

// What the broker dead-poisoned blocks its key as well.
func TestPolicy_Ordered_DeadLetteredMessageBlocksItsKey(t *testing.T) {
	t.Parallel()
	w := &scripted{}
	kit := routertest.StartWith(t, allDelayed, catalogue(t), w.ordered())
	kit.Record(named(ada, "a1"))
	dead := message.NewMessage("0190f3c2-0000-7000-8000-00000000dead", []byte(`{"type":"USER_CREATED","data":{"userId":"`+ada+`","email":"a@example.com","name":"dead"}}`))
	dead.Metadata["x-death"] = `[{"queue":"h","reason":"delivery_limit","routing-keys":["USER_CREATED"],"time":"2026-11-24T10:00:00.000Z"}]`
	if err := kit.Transport().QueuePublisher().Publish("h.poison", dead); err != nil {
		t.Fatal(err)
	}
	kit.Settle()
	kit.Record(named(ada, "a2"))
	if got := strings.Join(w.of(ada), " "); got != "a1" {
		t.Errorf("ada's events were handled as %s", got)
	}
	kit.Retry("h")
	if got := strings.Join(w.of(ada), " "); got != "a1 dead a2" {
		t.Errorf("ada's events were handled as %s", got)
	}
	mustBeFree(t, kit)
}

// A process that dies after a blocker was handled leaves a blocked key.
func TestPolicy_Ordered_KeyOfAHandledBlockerIsReleased(t *testing.T) {
	t.Parallel()
	w := &scripted{}
	kit := routertest.Start(t, catalogue(t), w.ordered())
	kit.Record(named(ada, "a1"))
	if _, err := kit.Store().BlockKey(t.Context(), "h", ada, kit.Handled("h")[0]); err != nil {
		t.Fatal(err)
	}
	n := 1
	eventually(t, "the next event is handled, and none is parked", func() bool {
		n++
		kit.Record(named(ada, fmt.Sprint("a", n)))
		keys, _, _ := kit.Store().CountParked(t.Context(), "h")
		return keys == 0
	})
	if got := w.of(ada); len(got) != n {
		t.Errorf("of %d events %v were handled", n, got)
	}
}

// A message that was handled does not wait behind another one that was: they would release
// each other in turn, forever.
func TestPolicy_Ordered_DuplicatesDoNotWait(t *testing.T) {
	t.Parallel()
	w := &scripted{}
	kit := routertest.Start(t, catalogue(t), w.ordered())
	kit.Record(named(ada, "a1"), named(ada, "a2"), named(ada, "a3"), named(ada, "a4"))
	handled := kit.Handled("h")
	if _, err := kit.Store().BlockKey(t.Context(), "h", ada, handled[0]); err != nil {
		t.Fatal(err)
	}
	var again []*message.Message
	for _, id := range handled[1:] {
		m := message.NewMessage(id, []byte(`{"type":"USER_CREATED","data":{"userId":"`+ada+`","email":"a@example.com","name":"again"}}`))
		m.Metadata[events.MetaParked] = "true" // It asks for the blocker, however long ago somebody has.
		again = append(again, m)
	}
	if err := kit.Transport().QueuePublisher().Publish("h", again...); err != nil {
		t.Fatal(err)
	}
	kit.Settle()
	if got := strings.Join(w.of(ada), " "); got != "a1 a2 a3 a4" {
		t.Errorf("ada's events were handled as %s", got)
	}
	mustBeFree(t, kit)
}

// mustBeFree checks that no key is blocked.
func mustBeFree(t interface {
	Helper()
	Errorf(string, ...any)
}, kit *routertest.Kit,
) {
	t.Helper()
	if keys, messages, _ := kit.Store().CountParked(context.Background(), "h"); keys != 0 || messages != 0 {
		t.Errorf("%d keys are still blocked, with %d messages", keys, messages)
	}
}

// eventually polls until f holds, for at most a minute.
func eventually(t testing.TB, what string, f func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(time.Minute); !f(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("not within a minute: %s", what)
		}
	}
}

// faultily lets store and broker fail now and then, before or after the work is done. A
// message that is delayed or sent to the poison queue, and given back as well, is handled
// at two times, in no order that could be checked; so these calls fail before only.
func faultily(c *router.Config) {
	allDelayed(c)
	var f routertest.Faults
	f.On("Delay", "Publish h.poison").Chance(0.1).Fail()
	for _, call := range []string{"KeyBlocker", "BlockKey", "ParkMessage", "ReleaseKey", "UnparkMessage", "Publish h"} {
		f.On(call).Chance(0.1).Fail()
		f.On(call).Chance(0.1).LoseAnswer()
	}
	f.Inject(c)
}

// Whatever fails, is retried or discarded: each key's events are handled in the order in
// which they were published, without those that were discarded, and none is lost.
func TestPolicy_Ordered_PropertyOrderThroughFailures(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		adapt func(*router.Config)
		// twice says that a message may come twice, since a publisher was told that it
		// was not published: then it may be handled although it was discarded.
		twice bool
	}{
		{"everything works", allDelayed, false},
		{"short pauses in memory", func(c *router.Config) { c.MaxInMemoryDelay = 2 * time.Millisecond }, false},
		{"store and broker fail now and then", faultily, true},
		{"and duplicates are not recognized", func(c *router.Config) { faultily(c); c.Inbox = nil }, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := &scripted{}
			kit := routertest.StartWith(t, tt.adapt, catalogue(t), w.ordered())
			rapid.Check(t, func(t *rapid.T) { checkOrder(t, kit, w, tt.twice) })
		})
	}
}

func checkOrder(t *rapid.T, kit *routertest.Kit, w *scripted, twice bool) {
	var keys []string
	for range rapid.IntRange(1, 3).Draw(t, "keys") {
		keys = append(keys, events.NewID())
	}
	published, discarded := map[string][]string{}, map[string]bool{}
	var data []events.Data
	for range rapid.IntRange(1, 12).Draw(t, "events") {
		at := rapid.IntRange(0, len(keys)-1).Draw(t, "key")
		name := fmt.Sprintf("%d/%d of %s", at, len(published[keys[at]]), keys[at])
		published[keys[at]] = append(published[keys[at]], name)
		data = append(data, named(keys[at], name))
		w.answer(name, rapid.SliceOfN(rapid.SampledFrom([]error{nil, errors.New("boom"), errLater, errNever}), 0, 5).Draw(t, "answers")...)
	}
	if first := rapid.IntRange(0, len(data)).Draw(t, "published first"); first > 0 {
		kit.Record(data[:first]...)
		data = data[first:]
	}
	kit.Record(data...)
	for poisoned := kit.PoisonStore().Of("h"); len(poisoned) > 0; poisoned = kit.PoisonStore().Of("h") {
		l := poisoned[rapid.IntRange(0, len(poisoned)-1).Draw(t, "poison message")]
		if rapid.Bool().Draw(t, "retried") {
			kit.Retry("h", l.MessageID)
			continue
		}
		var e struct{ Data sample.Created }
		if err := json.Unmarshal(l.Body, &e); err != nil {
			t.Fatal(err)
		}
		discarded[e.Data.Name] = true
		kit.Discard("h", l.MessageID)
	}
	for _, key := range keys {
		want, got := slices.DeleteFunc(published[key], func(name string) bool { return discarded[name] }), w.of(key)
		if twice {
			before := map[string]bool{}
			got = slices.DeleteFunc(got, func(name string) bool {
				again := before[name]
				before[name] = true
				return again || discarded[name]
			})
		}
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("handled otherwise than published (-want +got):\n%s", diff)
		}
	}
	mustBeFree(t, kit)
}
