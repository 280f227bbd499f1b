package router_test

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

// A reaction does something about an event. After an error it is tried again, up to five
// times unless the policy says otherwise; then the event goes to the poison queue.
func ExampleOn() {
	welcome := router.On("send-welcome", func(_ context.Context, e router.Event[sample.Created]) error {
		fmt.Println("To:", e.Data.Email)
		fmt.Println("Hello", e.Data.Name)
		return nil
	}, router.Policy{Attempts: 10})

	t := &exampleT{} // In your own test, t is its *testing.T, and catalogue(t) has your types.
	defer t.finish()
	kit := routertest.Start(t, catalogue(t), welcome)
	kit.Record(sample.Created{UserID: ada, Email: "ada@example.com", Name: "Ada"})
	// Output:
	// To: ada@example.com
	// Hello Ada
}

// A decision returns the events that a command leads to in the current state of its
// aggregate, or refuses.
func ExampleDecide() {
	changeEmail := router.Decide("change-email", func(_ context.Context, c sample.ChangeEmail, u sample.User) ([]events.Data, error) {
		if !u.Exists() {
			return nil, events.Reject("USER_NOT_FOUND", "there is no user %s", c.UserID)
		}
		return []events.Data{sample.EmailChanged{UserID: c.UserID, Email: c.Email}}, nil
	})

	t := &exampleT{} // In your own test, t is its *testing.T, and catalogue(t) has your types.
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

// A projection keeps rows up to date, here one for each user, until the user is
// deactivated.
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

	t := &exampleT{} // In your own test, t is its *testing.T, and catalogue(t) has your types.
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

// An application is a router with handlers and ports. In production the ports are drivers
// for RabbitMQ and Redis; infra/app assembles them.
func ExampleNew() {
	store, transport := &routertest.Store{}, &routertest.Transport{}
	welcomed := make(chan string, 1)
	r, err := router.New(router.Config{
		Catalogue: sample.Catalogue(),
		Handlers: sample.Handlers(func(_ context.Context, e router.Event[sample.Created]) error {
			welcomed <- e.Data.Name
			return nil
		}),
		Transport: transport, Log: store, Reader: store, Checkpoints: store, Projections: store, Elector: store,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	commands, err := router.NewCommands(router.CommandsConfig{Catalogue: sample.Catalogue(), Publisher: transport.Publisher(), Log: store})
	if err != nil {
		fmt.Println(err)
		return
	}

	ctx, stop := context.WithCancel(context.Background()) // In a service, until SIGTERM.
	stopped := make(chan error, 1)
	go func() { stopped <- r.Run(ctx) }()
	<-r.Running()
	outcome, err := commands.Execute(ctx, sample.Create{Email: "ada@example.com", Name: "Ada"}, events.SendOptions{})
	fmt.Println(outcome.Status, err)
	fmt.Println("welcome,", <-welcomed)
	stop()
	fmt.Println("stopped:", <-stopped)
	// Output:
	// accepted <nil>
	// welcome, Ada
	// stopped: <nil>
}

// A command that is sent again under its id has the stored outcome, and changes nothing.
func ExampleCommands() {
	t := &exampleT{} // In your own test, t is its *testing.T.
	defer t.finish()
	kit := routertest.Start(t, sample.Catalogue(), sample.Handlers(nil)...)
	commands := kit.Commands() // router.NewCommands makes them.

	ctx := context.Background()
	create := sample.Create{UserID: ada, Email: "ada@example.com", Name: "Ada"}
	for range 2 {
		outcome, err := commands.Execute(ctx, create, events.SendOptions{ID: "request 7"})
		fmt.Println(outcome.Status, outcome.Version, outcome.Events[0].Type, err)
	}
	outcome, _ := commands.Execute(ctx, create, events.SendOptions{ID: "request 8"})
	fmt.Println(outcome.Status, outcome.Code)
	_, err := commands.Execute(ctx, sample.Create{Email: "ada@example.com"}, events.SendOptions{})
	fmt.Println(err)
	// Output:
	// accepted 1 USER_CREATED <nil>
	// accepted 1 USER_CREATED <nil>
	// rejected USER_EXISTS
	// name: must not be empty
}

// Rows may have any key, here the domain of the mail address.
func ExampleCaseBy() {
	type domain struct {
		Users int `json:"users"`
	}
	domains := router.Project("domains", router.CaseBy(
		func(e router.Event[sample.Created]) string {
			_, name, _ := strings.Cut(e.Data.Email, "@")
			return name
		},
		func(row *domain, _ router.Event[sample.Created]) error {
			row.Users++
			return nil
		}))

	t := &exampleT{} // In your own test, t is its *testing.T, and catalogue(t) has your types.
	defer t.finish()
	kit := routertest.Start(t, catalogue(t), domains)
	kit.Record(
		sample.Created{UserID: ada, Email: "ada@example.com", Name: "Ada"},
		sample.Created{UserID: bob, Email: "bob@example.com", Name: "Bob"},
	)
	var row domain
	fmt.Println(kit.Row("domains", "example.com", &row), row.Users)
	// Output: true 2
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
