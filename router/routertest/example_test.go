package routertest_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router"
	"github.com/pitwheel/pitwheel/router/routertest"
	"github.com/pitwheel/pitwheel/router/routertest/sample"
)

// In a test of yours, t is its *testing.T.
func ExampleFaults() {
	t := &exampleT{}
	defer t.finish()
	catalogue := events.NewCatalogue()
	if err := sample.Register(catalogue); err != nil {
		t.Fatalf("%v", err)
	}
	greeted := 0
	greet := router.On("greet", func(context.Context, router.Event[sample.Created]) error {
		greeted++
		return nil
	})

	var faults routertest.Faults
	kit := routertest.StartWith(t, faults.Inject, catalogue, greet)
	away := faults.On("Publish user.events").Times(3).Fail()  // the broker is away at first,
	twice := faults.On("Deliver greet").Times(1).LoseAnswer() // and then an acknowledgement gets lost
	kit.Record(sample.Created{UserID: "0190f3c2-0000-7000-8000-00000000ada0", Email: "ada@example.com", Name: "Ada"})

	fmt.Println("faults:", away.Injected(), "and", twice.Injected())
	fmt.Println("greeted:", greeted)
	// Output:
	// faults: 3 and 1
	// greeted: 1
}

// A reaction that sends a follow-up command: a new user of a blocked domain is deactivated.
func ExampleStartFunc() {
	t := &exampleT{} // In a test of yours, t is its *testing.T.
	defer t.finish()
	kit := routertest.StartFunc(t, sample.Catalogue(), func(commands *router.Commands) []router.Handler {
		block := router.On("block", func(ctx context.Context, e router.Event[sample.Created]) error {
			if !strings.HasSuffix(e.Data.Email, "@spam.example") {
				return nil
			}
			_, err := commands.Send(ctx, sample.Deactivate{UserID: e.AggregateID, Reason: "blocked"}, events.SendOptions{})
			return err
		})
		return append(sample.Handlers(nil), block)
	})

	kit.Record(sample.Created{UserID: "0190f3c2-0000-7000-8000-00000000ada0", Email: "ada@spam.example", Name: "Ada"})
	for _, e := range kit.Published("user.events") {
		fmt.Println(e.Version, e.Type)
	}
	// Output:
	// 1 USER_CREATED
	// 2 USER_DEACTIVATED
}

// exampleT stands in for the *testing.T that an example does not have.
type exampleT struct {
	testing.TB
	cleanups []func()
}

func (t *exampleT) Helper()          {}
func (t *exampleT) Cleanup(f func()) { t.cleanups = append(t.cleanups, f) }

func (t *exampleT) Errorf(format string, args ...any) { fmt.Printf(format+"\n", args...) }
func (t *exampleT) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }

func (t *exampleT) finish() {
	for _, f := range t.cleanups {
		f()
	}
}
