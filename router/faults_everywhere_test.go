package router_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router"
	"github.com/pitwheel/pitwheel/router/routertest"
	"github.com/pitwheel/pitwheel/router/routertest/sample"
)

// Whatever call fails, before or after it has done its work, or is made twice:
// every command has its one event, every event is published and projected once, and
// a handler that asks for order sees it kept.
func TestRouter_EveryCallMayFail(t *testing.T) {
	t.Parallel()
	for _, point := range []string{
		"Publish user.commands", "Publish user.events", "Publish w.poison", "Publish w", "Delay", "Declare", "Deliver register", "Deliver w", "Deliver w.poison",
		"Load", "Append", "Outcomes", "SaveSnapshot", "Read", "End", "Epoch", "Checkpoint", "OpenCheckpoint", "SaveCheckpoint", "Lead", "ProjectionCursor", "OpenProjection", "Rows", "Commit", "Seen", "Record",
		"StorePoison", "CountPoison", "KeyBlocker", "BlockKey", "ParkMessage", "ReleaseKey", "UnparkMessage", "CountParked",
	} {
		for name, fault := range map[string]func(routertest.Schedule) *routertest.Fault{
			"fails":            func(s routertest.Schedule) *routertest.Fault { return s.Times(2).Fail() },
			"loses its answer": func(s routertest.Schedule) *routertest.Fault { return s.Times(2).LoseAnswer() },
			"is made twice":    func(s routertest.Schedule) *routertest.Fault { return s.Times(2).Duplicate() },
			"is late":          func(s routertest.Schedule) *routertest.Fault { return s.Times(2).Delay(30 * time.Millisecond) },
		} {
			t.Run(point+" "+name, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					survive(t, func(f *routertest.Faults) *routertest.Fault { return fault(f.On(point)) })
				})
			})
		}
	}
}

// survive runs the application through one fault.
func survive(t *testing.T, inject func(*routertest.Faults) *routertest.Fault) {
	var faults routertest.Faults
	fault := inject(&faults)
	w := &recorder{fail: map[uint64]error{3: errLater, 5: errNever}}
	kit := routertest.StartWith(t, func(c *router.Config) {
		allDelayed(c)
		faults.Inject(c)
	}, catalogue(t), application(w)...)
	const last = 30
	send(t, kit, sample.Create{UserID: ada, Email: "a@example.com", Name: "Ada"}, "create")
	for v := range last - 1 {
		id := fmt.Sprint("move ", v)
		o := send(t, kit, sample.ChangeEmail{UserID: ada, Email: "b@example.com"}, id)
		if again := send(t, kit, sample.ChangeEmail{UserID: ada, Email: "b@example.com"}, id); o.Status != events.StatusAccepted || cmp.Diff(o, again) != "" {
			t.Errorf("the outcomes of one command: %+v and %+v", o, again)
		}
	}
	kit.Settle()
	kit.Poisoned("w") // It waits for the poison message.
	kit.Retry("w")
	// What polls seldom has time to.
	time.Sleep(3 * time.Second) //nolint:forbidigo // The clock is synctest's; nobody sleeps.
	kit.Settle()
	if fault.Injected() == 0 {
		t.Error("the fault was never injected")
	}
	verify(t, kit, ada, last)
	if diff := cmp.Diff(upTo(2, last), firsts(w.of(ada))); diff != "" {
		t.Errorf("the handler saw otherwise than published (-want +got):\n%s", diff)
	}
	if left := kit.Poisoned("w"); len(left) > 0 {
		t.Errorf("poison messages are left: %+v", left)
	}
	mustBeFree(t, kit)
}

// Anything fails, hangs, is late, doubled or mixed up, until it no longer does. Then
// every accepted command has its event, published, and projected once.
func TestRouter_PropertyNothingIsLostOrDoubled(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var faults routertest.Faults
		w := &recorder{}
		kit := routertest.StartWith(t, func(c *router.Config) {
			allDelayed(c)
			faults.Inject(c)
		}, catalogue(t), application(w)...)
		untimed := struct{ testing.TB }{t} // The test's deadline is on another clock.
		rapid.Check(untimed, func(rt *rapid.T) { checkNothingLost(rt, t, kit, w, &faults) })
	})
}

func checkNothingLost(rt *rapid.T, t *testing.T, kit *routertest.Kit, w *recorder, faults *routertest.Faults) {
	effects := map[string]func(routertest.Schedule) *routertest.Fault{
		"fail":      func(s routertest.Schedule) *routertest.Fault { return s.Fail() },
		"lose":      func(s routertest.Schedule) *routertest.Fault { return s.LoseAnswer() },
		"delay":     func(s routertest.Schedule) *routertest.Fault { return s.Delay(40 * time.Millisecond) },
		"duplicate": routertest.Schedule.Duplicate,
		"swap":      routertest.Schedule.Swap,
	}
	defer faults.End() // Also when the check fails.
	swapped := false
	for range rapid.IntRange(1, 4).Draw(rt, "faults") {
		call := rapid.SampledFrom([]string{"*", "Publish", "Deliver", "Append", "Load", "Read", "Commit", "Rows", "SaveCheckpoint", "Seen", "Record"}).Draw(rt, "call")
		effect := rapid.SampledFrom([]string{"fail", "lose", "delay", "duplicate", "swap"}).Draw(rt, "effect")
		swapped = swapped || effect == "swap"
		chance := rapid.Float64Range(0.02, 0.4).Draw(rt, "chance")
		effects[effect](faults.On(call).Chance(chance))
	}
	type request struct {
		id      string
		cmd     events.Command
		execute bool // rather than send
	}
	var requests []request
	versions := map[string]uint64{}
	var keys []string
	for range rapid.IntRange(1, 3).Draw(rt, "users") {
		keys = append(keys, events.NewID())
	}
	for range rapid.IntRange(1, 12).Draw(rt, "commands") {
		key := rapid.SampledFrom(keys).Draw(rt, "user")
		versions[key]++
		requests = append(requests, request{events.NewID(), sample.ChangeEmail{UserID: key, Email: "b@example.com"}, rapid.Bool().Draw(rt, "execute")})
	}
	var clients sync.WaitGroup
	for _, x := range requests {
		clients.Go(func() {
			// Whether it has arrived is unknown: it is sent again, under its id.
			options := events.SendOptions{ID: x.id}
			for arrived := false; !arrived; {
				if !x.execute {
					_, err := kit.Commands().Send(t.Context(), x.cmd, options)
					arrived = err == nil
					continue
				}
				ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
				o, err := kit.Execute(ctx, x.cmd, options)
				cancel()
				arrived = err == nil || o.Status == events.StatusUnknown
			}
		})
	}
	clients.Wait()
	if rapid.Bool().Draw(rt, "time passes") {
		time.Sleep(300 * time.Millisecond) //nolint:forbidigo // The clock is synctest's; nobody sleeps.
	}
	faults.End()
	kit.Settle()
	for key, last := range versions {
		verify(rt, kit, key, last, swapped)
		handled := firsts(w.of(key))
		if swapped {
			slices.Sort(handled)
		}
		if diff := cmp.Diff(upTo(1, last), handled); diff != "" {
			rt.Errorf("handled of %s (-want +got):\n%s", key, diff)
		}
	}
	if poisoned := kit.Poisoned("w"); len(poisoned) > 0 {
		rt.Errorf("poison messages: %+v", poisoned)
	}
	mustBeFree(rt, kit)
}
