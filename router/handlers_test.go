package router_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router"
	"github.com/pitwheel/pitwheel/router/routertest"
	"github.com/pitwheel/pitwheel/router/routertest/sample"
)

const (
	ada = "0190f3c2-0000-7000-8000-00000000ada0"
	bob = "0190f3c2-0000-7000-8000-000000000b0b"
)

func TestMain(m *testing.M) {
	// Watermill's router waits forever for a handler whose subscription failed at the start.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/ThreeDotsLabs/watermill/message.(*Router).watchAllHandlersStopped.func1"))
}

func created(id string) sample.Created {
	return sample.Created{UserID: id, Email: "someone@example.com", Name: "Someone"}
}

func TestOn_Results(t *testing.T) {
	t.Parallel()
	boom := errors.New("boom")
	for _, tt := range []struct {
		name     string
		answers  []error // one an attempt; nil afterwards
		attempts int32
		code     string // of the poison message; empty if there is none
	}{
		{"handled at once", nil, 1, ""},
		{"handled at the third attempt", []error{boom, boom}, 3, ""},
		{"poison after all attempts", slices.Repeat([]error{boom}, 10), 10, events.CodeInternal},
		{"permanent is poison at once", []error{events.Permanent(boom)}, 1, events.CodeInternal},
		{"a refusal is poison at once", []error{events.Reject("NO", "no")}, 1, "NO"},
		{"the handler says when", []error{events.RetryAfter(time.Millisecond, boom)}, 2, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var calls atomic.Int32
			kit := routertest.Start(t, catalogue(t), router.On("h", func(context.Context, router.Event[sample.Created]) error {
				if n := int(calls.Add(1)); n <= len(tt.answers) {
					return tt.answers[n-1]
				}
				return nil
			}))
			kit.Record(created(ada))
			if got := calls.Load(); got != tt.attempts {
				t.Errorf("%d attempts, want %d", got, tt.attempts)
			}
			poisoned := kit.Poisoned("h")
			switch {
			case tt.code == "" && len(poisoned) > 0:
				t.Errorf("poison messages: %+v", poisoned)
			case tt.code != "" && (len(poisoned) != 1 || poisoned[0].Code != tt.code):
				t.Errorf("poison messages %+v, want one with the code %s", poisoned, tt.code)
			}
		})
	}
}

func TestOn_PanicIsAFailedAttempt(t *testing.T) {
	t.Parallel()
	kit := routertest.Start(t, catalogue(t), router.On("h", func(context.Context, router.Event[sample.Created]) error {
		panic(strings.Repeat("a very long text ", 20_000))
	}, router.Policy{Attempts: 2}))
	kit.Record(created(ada))
	poisoned := kit.Poisoned("h")
	if len(poisoned) != 1 {
		t.Fatalf("%d poison messages, want 1", len(poisoned))
	}
	l := poisoned[0]
	if l.Code != events.CodePanic || l.Attempts != 2 || len(l.Reason) > 3<<10 || !strings.Contains(l.Reason, "a very long text") {
		t.Errorf("the poison message has code %s, %d attempts and a reason of %d bytes", l.Code, l.Attempts, len(l.Reason))
	}
}

func TestPolicy_Timeout(t *testing.T) {
	t.Parallel()
	kit := routertest.Start(t, catalogue(t), router.On("h", func(ctx context.Context, _ router.Event[sample.Created]) error {
		<-ctx.Done()
		return ctx.Err()
	}, router.Policy{Attempts: 1, Timeout: 5 * time.Millisecond}))
	kit.Record(created(ada))
	if l := kit.Poisoned("h"); len(l) != 1 || l[0].Code != events.CodeTimeout {
		t.Errorf("poison messages %+v, want one with the code TIMEOUT", l)
	}
}

// A handler that fails after it has sent a command sends the same command again.
func TestCommands_Send_FromARetriedReaction(t *testing.T) {
	t.Parallel()
	var kit *routertest.Kit
	var calls atomic.Int32
	kit = routertest.Start(t, catalogue(t),
		router.Decide("create", func(_ context.Context, c sample.Create, u sample.User) ([]events.Data, error) {
			return []events.Data{sample.Deactivated{UserID: c.UserID, Reason: c.Name}}, nil
		}),
		router.On("echo", func(ctx context.Context, _ router.Event[sample.Created]) error {
			for range 2 { // Two equal commands are two commands.
				if _, err := kit.Commands().Send(ctx, sample.Create{Email: "a@example.com", Name: "Echo"}, events.SendOptions{}); err != nil {
					return err
				}
			}
			if calls.Add(1) < 3 {
				return errors.New("not yet")
			}
			return nil
		}))
	kit.Record(created(ada))
	var echoes []events.Envelope
	var origin events.Envelope
	for _, e := range kit.Published("user.events") {
		if e.Type == "USER_DEACTIVATED" {
			echoes = append(echoes, e)
		} else {
			origin = e
		}
	}
	if len(echoes) != 2 {
		t.Fatalf("%d events after three attempts, want 2", len(echoes))
	}
	for _, e := range echoes {
		if e.CorrelationID != origin.CorrelationID {
			t.Errorf("the correlation id changed from %s to %s", origin.CorrelationID, e.CorrelationID)
		}
	}
	for _, c := range kit.Published("user.commands") {
		if c.CausationID != origin.ID {
			t.Errorf("the command's cause is %s, want the event %s", c.CausationID, origin.ID)
		}
	}
}

func TestDecide_EventOfAnotherAggregate(t *testing.T) {
	t.Parallel()
	kit := routertest.Start(t, catalogue(t), router.Decide("create", func(context.Context, sample.Create, sample.User) ([]events.Data, error) {
		return []events.Data{created(bob)}, nil
	}))
	_, err := kit.Commands().Send(context.Background(), sample.Create{UserID: ada, Email: "a@example.com", Name: "A"}, events.SendOptions{})
	if err != nil {
		t.Fatal(err)
	}
	kit.Settle()
	if l := kit.Poisoned("create"); len(l) != 1 || !strings.Contains(l[0].Reason, "belongs to its command's aggregate") {
		t.Errorf("poison messages: %+v", l)
	}
	if e := kit.Published("user.events"); len(e) > 0 {
		t.Errorf("published: %+v", e)
	}
}

// A stored event that no reaction could receive would be worse than a refusal.
func TestDecide_EventTooLargeForAMessage(t *testing.T) {
	t.Parallel()
	small := func(c *router.Config) { c.MaxBytes = 1000 }
	kit := routertest.StartWith(t, small, catalogue(t), router.Decide("create", func(_ context.Context, c sample.Create, _ sample.User) ([]events.Data, error) {
		return []events.Data{sample.Created{UserID: c.UserID, Email: c.Email, Name: strings.Repeat(c.Name, 1000)}}, nil
	}))
	kit.Given().When(sample.Create{UserID: ada, Email: "a@example.com", Name: "A"}).Rejected(events.CodeTooLarge)
}

func TestCommands_Send_Unhandled(t *testing.T) {
	t.Parallel()
	kit := routertest.Start(t, catalogue(t), router.On("h", react))
	_, err := kit.Commands().Send(context.Background(), sample.Create{Email: "a@example.com", Name: "A"}, events.SendOptions{})
	if events.CodeOf(err) != events.CodeUnhandled {
		t.Errorf("the error is %v", err)
	}
}

// Snapshots shorten loading and change nothing else.
func TestDecide_ManyVersionsWithSnapshots(t *testing.T) {
	t.Parallel()
	kit := routertest.Start(t, catalogue(t), router.Decide("deactivate", func(_ context.Context, c sample.Deactivate, u sample.User) ([]events.Data, error) {
		// Every decision sees all events before it: the state counts them in its name.
		return []events.Data{sample.Created{UserID: c.UserID, Name: u.Name + "x", Email: "a@example.com"}}, nil
	}))
	const n = 350
	for range n {
		if _, err := kit.Commands().Send(context.Background(), sample.Deactivate{UserID: ada, Reason: "r"}, events.SendOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	kit.Settle()
	published := kit.Published("user.events")
	if len(published) != n {
		t.Fatalf("%d events, want %d", len(published), n)
	}
	if last := string(published[n-1].Data); strings.Count(last, "x") != n+1 { // One x is in example.com.
		t.Errorf("the last decision did not see all before it: %s", last)
	}
	a, _ := catalogue(t).LookupAggregate("user")
	h, err := kit.Store().Load(context.Background(), "user", ada, a.StateSchema)
	if err != nil {
		t.Fatal(err)
	}
	if h.Snapshot.Version < 200 || h.Version() != n {
		t.Errorf("snapshot at %d of version %d", h.Snapshot.Version, h.Version())
	}
}
