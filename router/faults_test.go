package router_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router"
	"github.com/pitwheel/pitwheel/router/routertest"
	"github.com/pitwheel/pitwheel/router/routertest/sample"
)

// A log that repeats events, or mixes them up, violates its contract. Even so, nothing is
// applied twice or left out.
func TestRouter_LogAnswersOutOfOrder(t *testing.T) {
	for name, fault := range map[string]func(routertest.Schedule) *routertest.Fault{"swapped": routertest.Schedule.Swap, "repeated": routertest.Schedule.Duplicate} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var faults routertest.Faults
				kit := routertest.StartWith(t, faults.Inject, catalogue(t), application(&recorder{})...)
				held := faults.On("Read").Hold()
				bad := fault(faults.On("Read").Times(4))
				kit.Given(created(ada), sample.EmailChanged{UserID: ada}, sample.EmailChanged{UserID: ada})
				held.Await(t, 2) // Relay and projection will see all at once.
				held.End()
				bad.Await(t, 4)
				kit.Settle()
				verify(t, kit, ada, 3)
			})
		})
	}
}

// Past failures no longer count: a role that makes progress does not pause longer and
// longer.
func TestRouter_OccasionalFailuresDelayLittle(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var faults routertest.Faults
		w := &recorder{}
		kit := routertest.StartWith(t, faults.Inject, catalogue(t), application(w)...)
		faults.On("Publish user.events").Every(2).Fail()
		faults.On("Commit p").Every(2).LoseAnswer()
		began := time.Now()
		const n = 40
		kit.Record(created(ada))
		for range n - 1 {
			kit.Record(sample.EmailChanged{UserID: ada})
		}
		if spent := time.Since(began); spent > n*200*time.Millisecond {
			t.Errorf("%d events took %s", n, spent)
		}
		verify(t, kit, ada, n)
	})
}

// The store has written, and its answer is lost: the command is decided again, on a state
// that it has changed itself.
func TestDecide_LostAnswerOfTheLog(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var faults routertest.Faults
		kit := routertest.StartWith(t, faults.Inject, catalogue(t), application(&recorder{})...)
		lost := faults.On("Append").Times(1).LoseAnswer()
		kit.Given().When(sample.Create{UserID: ada, Email: "a@example.com", Name: "Ada"}).Then(sample.Created{UserID: ada, Email: "a@example.com", Name: "Ada"})
		lost.Await(t, 1)
		lost = faults.On("Append").Times(1).LoseAnswer()
		kit.Given().When(sample.Create{UserID: ada, Email: "a@example.com", Name: "Ada"}).Rejected("USER_EXISTS")
		lost.Await(t, 1)
		kit.Settle()
		verify(t, kit, ada, 1)
	})
}

func TestInbox_Duplicates(t *testing.T) {
	for _, tt := range []struct {
		name   string
		fault  func(*routertest.Faults) *routertest.Fault
		inbox  bool
		copies int
	}{
		{"published twice", func(f *routertest.Faults) *routertest.Fault { return f.On("Publish user.events").Duplicate() }, true, 1},
		{"published twice, no inbox", func(f *routertest.Faults) *routertest.Fault { return f.On("Publish user.events").Duplicate() }, false, 2},
		{"delivered twice", func(f *routertest.Faults) *routertest.Fault { return f.On("Deliver w").Duplicate() }, true, 1},
		{"delivered twice, no inbox", func(f *routertest.Faults) *routertest.Fault { return f.On("Deliver w").Duplicate() }, false, 2},
		{"the acknowledgement is lost", func(f *routertest.Faults) *routertest.Fault { return f.On("Deliver w").Every(2).LoseAnswer() }, true, 1},
		{"the confirmation is lost", func(f *routertest.Faults) *routertest.Fault {
			return f.On("Publish user.events").Every(2).LoseAnswer()
		}, true, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var faults routertest.Faults
				w := &recorder{}
				kit := routertest.StartWith(t, func(c *router.Config) {
					faults.Inject(c)
					if !tt.inbox {
						c.Inbox = nil
					}
				}, catalogue(t), application(w)...)
				fault := tt.fault(&faults)
				for range 10 {
					kit.Record(sample.EmailChanged{UserID: ada})
				}
				var want []uint64
				for v := range uint64(10) {
					for range tt.copies {
						want = append(want, v+1)
					}
				}
				if diff := cmp.Diff(want, w.of(ada)); diff != "" || fault.Injected() < 3 {
					t.Errorf("%d faults; handled otherwise than wanted (-want +got):\n%s", fault.Injected(), diff)
				}
			})
		})
	}
}

func TestRelay_ContinuesInOrder(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var faults routertest.Faults
		kit := routertest.StartWith(t, faults.Inject, catalogue(t), application(&recorder{})...)
		away := faults.On("Publish user.events").Times(3).Fail(errors.New("away"))
		kit.Record(created(ada), created(bob), sample.EmailChanged{UserID: ada}, sample.EmailChanged{UserID: bob})
		if away.Injected() != 3 || len(kit.Published("user.events")) != 4 {
			t.Errorf("after %d failures %d events are published, want 4, none of them twice", away.Injected(), len(kit.Published("user.events")))
		}
		verify(t, kit, ada, 2)
		verify(t, kit, bob, 2)
	})
}

// A reaction may receive a key's events in another order; a projection never does.
func TestRouter_ReorderedDeliveries(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var faults routertest.Faults
		w := &recorder{}
		kit := routertest.StartWith(t, faults.Inject, catalogue(t), application(w)...)
		held := faults.On("Read").Hold() // So that there is a next one when the first is delivered.
		held.Await(t, 2)
		faults.On("Deliver w").Every(2).Swap()
		kit.Given(created(ada), sample.EmailChanged{UserID: ada}, sample.EmailChanged{UserID: ada}, sample.EmailChanged{UserID: ada}, sample.EmailChanged{UserID: ada})
		held.End()
		kit.Settle()
		if diff := cmp.Diff([]uint64{2, 4, 3, 5}, w.of(ada)); diff != "" {
			t.Errorf("handled otherwise than wanted (-want +got):\n%s", diff)
		}
		faults.End()
		faults.On("Publish user.events").Swap()
		held = faults.On("Read").Hold()
		held.Await(t, 2)
		kit.Given(sample.EmailChanged{UserID: ada}, sample.EmailChanged{UserID: ada})
		held.End()
		kit.Settle()
		if diff := cmp.Diff([]uint64{2, 4, 3, 5, 7, 6}, w.of(ada)); diff != "" {
			t.Errorf("handled otherwise than wanted (-want +got):\n%s", diff)
		}
		var r tally
		kit.Row("p", ada, &r)
		if diff := cmp.Diff(upTo(1, 7), r.Versions); diff != "" {
			t.Errorf("the projection (-want +got):\n%s", diff)
		}
	})
}

func TestPoisonCollector_StoreCannotBeReached(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var faults routertest.Faults
		w := &recorder{fail: map[uint64]error{1: errNever}}
		kit := routertest.StartWith(t, faults.Inject, catalogue(t), application(w)...)
		away := faults.On("StorePoison").Fail()
		kit.Given(sample.EmailChanged{UserID: ada}, sample.EmailChanged{UserID: bob}, sample.EmailChanged{UserID: bob})
		away.Await(t, 5)
		eventually(t, "other keys go on", func() bool { return len(w.of(bob)) == 2 })
		if poisoned := kit.PoisonStore().Of("w"); len(poisoned) > 0 {
			t.Errorf("poison messages in a store that cannot be reached: %+v", poisoned)
		}
		away.End()
		kit.Settle()
		if poisoned := kit.Poisoned("w"); len(poisoned) != 1 {
			t.Errorf("%d poison messages, want 1: %+v", len(poisoned), poisoned)
		}
		kit.Retry("w")
		if diff := cmp.Diff([]uint64{1}, w.of(ada)); diff != "" {
			t.Errorf("ada's (-want +got):\n%s", diff)
		}
	})
}

// A call that hangs holds up its own key, and ends with its context.
func TestDecide_HangingStoreHoldsUpItsOwnKey(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var faults routertest.Faults
		w := &recorder{}
		kit := routertest.StartWith(t, faults.Inject, catalogue(t), application(w)...)
		stuck := faults.On("Append").Hold()
		if _, err := kit.Commands().Send(t.Context(), sample.ChangeEmail{UserID: ada, Email: "b@example.com"}, events.SendOptions{}); err != nil {
			t.Fatal(err)
		}
		stuck.Await(t, 1)
		kit.Given(sample.EmailChanged{UserID: bob})
		eventually(t, "others go on", func() bool { return len(w.of(bob)) == 1 })
		if got := w.of(ada); len(got) > 0 {
			t.Errorf("handled while the store hangs: %v", got)
		}
		stuck.End()
		kit.Settle()
		if got := w.of(ada); len(got) != 1 {
			t.Errorf("handled %v, want one", got)
		}
	})
}
