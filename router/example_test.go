package router_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router"
	"github.com/pitwheel/pitwheel/router/routertest"
	"github.com/pitwheel/pitwheel/router/routertest/sample"
)

// A reaction does something about an event. An error means that it is tried again, up to
// five times if the policy does not say otherwise; then the event is set aside.
func ExampleOn() {
	welcome := router.On("send-welcome", func(_ context.Context, e router.Event[sample.Created]) error {
		fmt.Println("To:", e.Data.Email)
		fmt.Println("Hello", e.Data.Name)
		return nil
	}, router.Policy{Attempts: 10})

	t := &exampleT{} // In a test of yours, t is its *testing.T, and catalogue(t) has all types of yours.
	defer t.finish()
	kit := routertest.Start(t, catalogue(t), welcome)
	kit.Record(sample.Created{UserID: ada, Email: "ada@example.com", Name: "Ada"})
	// Output:
	// To: ada@example.com
	// Hello Ada
}

// A decision says what a command leads to, given what has happened so far: events, or a
// refusal.
func ExampleDecide() {
	changeEmail := router.Decide("change-email", func(_ context.Context, c sample.ChangeEmail, u sample.User) ([]events.Data, error) {
		if !u.Exists() {
			return nil, events.Reject("USER_NOT_FOUND", "there is no user %s", c.UserID)
		}
		return []events.Data{sample.EmailChanged{UserID: c.UserID, Email: c.Email}}, nil
	})

	t := &exampleT{} // In a test of yours, t is its *testing.T, and catalogue(t) has all types of yours.
	defer t.finish()
	kit := routertest.Start(t, catalogue(t), changeEmail)
	kit.Given(sample.Created{UserID: ada, Email: "ada@example.com", Name: "Ada"}).
		When(sample.ChangeEmail{UserID: ada, Email: "ada@example.org"}).
		Then(sample.EmailChanged{UserID: ada, Email: "ada@example.org"})
	kit.Given().
		When(sample.ChangeEmail{UserID: bob, Email: "bob@example.org"}).
		Rejected("USER_NOT_FOUND")

	kit.Settle()
	for _, e := range kit.Published("user.events") {
		fmt.Println(e.Version, e.Type)
	}
	// Output:
	// 1 USER_CREATED
	// 2 USER_EMAIL_CHANGED
}

// A projection keeps rows up to date, here one for each user. What has to be forgotten
// is deleted.
func ExampleProject() {
	type entry struct {
		Name  string `json:"name"`
		Email string `json:"email"`
	}
	directory := router.Project("directory",
		router.Case(func(row *entry, e router.Event[sample.Created]) error {
			row.Name, row.Email = e.Data.Name, e.Data.Email
			return nil
		}),
		router.Case(func(row *entry, e router.Event[sample.EmailChanged]) error {
			row.Email = e.Data.Email
			return nil
		}),
		router.Case(func(*entry, router.Event[sample.Deactivated]) error {
			return router.ErrDeleteRow
		}),
	)

	t := &exampleT{} // In a test of yours, t is its *testing.T, and catalogue(t) has all types of yours.
	defer t.finish()
	kit := routertest.Start(t, catalogue(t), directory)
	kit.Record(sample.Created{UserID: ada, Email: "ada@example.com", Name: "Ada"})
	kit.Record(sample.EmailChanged{UserID: ada, Email: "ada@example.org"})
	var row entry
	there := kit.Row("directory", ada, &row)
	fmt.Println(there, row)

	kit.Record(sample.Deactivated{UserID: ada, Reason: "asked for it"})
	fmt.Println(kit.Row("directory", ada, &row))
	// Output:
	// true {Ada ada@example.org}
	// false
}

// exampleT stands in for the *testing.T that an example does not have.
type exampleT struct {
	testing.TB
	cleanups []func()
}

func (t *exampleT) Helper()          {}
func (t *exampleT) Cleanup(f func()) { t.cleanups = append(t.cleanups, f) }

func (t *exampleT) Fatal(args ...any)                 { panic(fmt.Sprint(args...)) }
func (t *exampleT) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }
func (t *exampleT) Errorf(format string, args ...any) { fmt.Printf(format+"\n", args...) }

func (t *exampleT) finish() {
	for _, f := range t.cleanups {
		f()
	}
}
