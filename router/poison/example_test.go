package poison_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router"
	"github.com/pitwheel/pitwheel/router/poison"
	"github.com/pitwheel/pitwheel/router/routertest"
	"github.com/pitwheel/pitwheel/router/routertest/sample"
)

// A mail server is away, so that a message goes to the poison queue. When the server is
// back, the message is retried. In a test of yours, t is its *testing.T.
func Example() {
	t := &exampleT{}
	defer t.finish()
	away := true
	greet := router.On("greet", func(_ context.Context, e router.Event[sample.Created]) error {
		if away {
			return events.Permanent(errors.New("the mail server is away"))
		}
		fmt.Println("welcome,", e.Data.Name)
		return nil
	})
	kit := routertest.Start(t, sample.Catalogue(), greet)
	kit.Record(sample.Created{UserID: "0190f3c2-0000-7000-8000-00000000ada0", Email: "ada@example.com", Name: "Ada"})

	ctx := context.Background()
	admin, err := poison.New(poison.Config{Store: kit.PoisonStore(), Queues: kit.Transport(), Parking: kit.Store()})
	if err != nil {
		t.Fatalf("%v", err)
	}
	for m, err := range admin.Messages(ctx, poison.Filter{}, poison.NewestFirst) {
		fmt.Println(m.Handler, m.Type, m.Reason, err)
	}

	away = false
	plan, err := admin.Plan(ctx, poison.Selection{Filter: poison.Filter{Fields: map[string][]string{"handler": {"greet"}}}})
	if err != nil {
		t.Fatalf("%v", err)
	}
	tally, err := admin.Retry(ctx, plan, poison.Options{Who: "ada", Why: "the mail server is back"})
	kit.Settle()
	fmt.Println(tally.Done, "retried,", tally.Failed, "failed,", err)
	// Output:
	// greet USER_CREATED the mail server is away <nil>
	// welcome, Ada
	// 1 retried, 0 failed, <nil>
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
