package router_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router"
	"github.com/pitwheel/pitwheel/router/routertest"
	"github.com/pitwheel/pitwheel/router/routertest/sample"
)

// However a command is sent, an id that was used with other data is refused, and no handler
// is asked again.
func TestCommands_IDInUse(t *testing.T) {
	t.Parallel()
	anne := sample.Create{UserID: ada, Email: "anne@example.com", Name: "Anne"}
	for name, first := range map[string]sample.Create{
		"accepted": {UserID: ada, Email: "ada@example.com", Name: "Ada"},
		"rejected": {UserID: ada, Email: "ada@example.com", Name: "refuse me"},
	} {
		for way, again := range map[string]func(*routertest.Kit, events.Command) (events.Outcome, error){
			"Send": func(k *routertest.Kit, c events.Command) (events.Outcome, error) {
				_, err := k.Commands().Send(t.Context(), c, events.SendOptions{ID: "order 7"})
				return events.Outcome{}, err
			},
			"Commands.Execute": func(k *routertest.Kit, c events.Command) (events.Outcome, error) {
				return k.Commands().Execute(t.Context(), c, events.SendOptions{ID: "order 7"})
			},
			"Router.Execute": func(k *routertest.Kit, c events.Command) (events.Outcome, error) {
				return k.Execute(t.Context(), c, events.SendOptions{ID: "order 7"})
			},
		} {
			t.Run(name+"/"+way, func(t *testing.T) {
				t.Parallel()
				kit := routertest.Start(t, catalogue(t), router.Decide("register", registerOrRefuse))
				was := executed(t, kit, first, events.SendOptions{ID: "order 7"})
				if _, err := again(kit, anne); events.CodeOf(err) != events.CodeIDInUse || !strings.Contains(err.Error(), "other data") {
					t.Errorf("other data under the id end with %v", err)
				}
				if now := executed(t, kit, first, events.SendOptions{ID: "order 7"}); !now.Repeated || now.Status != was.Status {
					t.Errorf("the first command has the outcome %+v", now)
				}
				kit.Settle()
				if poisoned := kit.Poisoned("register"); len(poisoned) > 0 || len(kit.Published("user.events")) > 1 {
					t.Errorf("the poison messages are %+v", poisoned)
				}
			})
		}
	}
}

func registerOrRefuse(ctx context.Context, c sample.Create, u sample.User) ([]events.Data, error) {
	if c.Name == "refuse me" {
		return nil, events.Reject("NO", "no")
	}
	return register(ctx, c, u)
}

// A command that makes its aggregate has the aggregate's id from its own: other data under it
// are for the same aggregate.
func TestCommands_IDInUse_DerivedAggregate(t *testing.T) {
	t.Parallel()
	kit := routertest.Start(t, catalogue(t), router.Decide("register", register))
	first := executed(t, kit, sample.Create{Email: "ada@example.com", Name: "Ada"}, events.SendOptions{ID: "1"})
	for _, c := range []sample.Create{{Email: "ada@example.com", Name: "Ada"}, {UserID: first.AggregateID, Email: "ada@example.com", Name: "Ada"}} {
		if again := executed(t, kit, c, events.SendOptions{ID: "1"}); !again.Repeated || again.AggregateID != first.AggregateID {
			t.Errorf("the same command has the outcome %+v", again)
		}
	}
	if _, err := kit.Execute(t.Context(), sample.Create{Email: "bob@example.com", Name: "Bob"}, events.SendOptions{ID: "1"}); events.CodeOf(err) != events.CodeIDInUse {
		t.Errorf("other data under the id end with %v", err)
	}
}

// Two callers who use an id at once: the store does not know of the first when the second
// sends. The second one is told, and an operator sees the message.
func TestCommands_IDInUse_AtOnce(t *testing.T) {
	t.Parallel()
	var faults routertest.Faults
	kit := routertest.StartWith(t, faults.Inject, catalogue(t), router.Decide("register", register))
	held := faults.On("Append").Times(1).Hold()
	send := func(name string) events.Receipt {
		r, err := kit.Commands().Send(t.Context(), sample.Create{UserID: ada, Email: "a@example.com", Name: name}, events.SendOptions{ID: "order 7"})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	first := send("Ada")
	held.Await(t, 1)
	second := send("Anne")
	held.End()
	if o, err := kit.Commands().Await(t.Context(), first); err != nil || o.Status != events.StatusAccepted {
		t.Errorf("the first outcome is %+v, %v", o, err)
	}
	if o, err := kit.Commands().Await(t.Context(), second); events.CodeOf(err) != events.CodeIDInUse {
		t.Errorf("the second outcome is %+v, %v", o, err)
	}
	kit.Settle()
	if poisoned := kit.Poisoned("register"); len(poisoned) != 1 || poisoned[0].Code != events.CodeIDInUse || poisoned[0].Attempts != 1 {
		t.Errorf("the poison messages are %+v", poisoned)
	}
}

// A message under an id that was used is the same command, however its JSON is written, or an
// error that an operator sees.
func TestDecide_IDInUse(t *testing.T) {
	t.Parallel()
	const id = "6f2b1f6e-52a1-4d0c-9a55-0d0f6a1c0011"
	for _, tt := range []struct {
		name, typ, data string
		err             error // of the handler, when it is called again
		code            string
	}{
		{name: "delivered again", typ: "CREATE_USER", data: `{"userId":"` + ada + `","email":"a@example.com","name":"Ada"}`},
		{name: "delivered again, and the handler fails", typ: "CREATE_USER", data: `{"userId":"` + ada + `","email":"a@example.com","name":"Ada"}`, err: errors.New("away")},
		{name: "written otherwise", typ: "CREATE_USER", data: ` { "x":null, "name":"\u0041da", "email" : "a@example.com", "userId":"` + ada + `" }`},
		{name: "other data", typ: "CREATE_USER", data: `{"userId":"` + ada + `","email":"a@example.com","name":"Anne"}`, code: events.CodeIDInUse},
		{name: "other data, and the handler fails", typ: "CREATE_USER", data: `{"userId":"` + ada + `","email":"a@example.com","name":"Anne"}`, err: errors.New("away"), code: events.CodeIDInUse},
		{name: "other data that are invalid", typ: "CREATE_USER", data: `{"userId":"` + ada + `","email":"a@example.com","name":""}`, code: events.CodeIDInUse},
		{name: "another command", typ: "CHANGE_USER_EMAIL", data: `{"userId":"` + ada + `","email":"a@example.com"}`, code: events.CodeIDInUse},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			calls := 0
			kit := routertest.Start(t, catalogue(t), router.Decide("move", move),
				router.Decide("register", func(ctx context.Context, c sample.Create, u sample.User) ([]events.Data, error) {
					if calls++; calls > 1 && tt.err != nil {
						return nil, tt.err
					}
					return register(ctx, c, u)
				}))
			executed(t, kit, sample.Create{UserID: ada, Email: "a@example.com", Name: "Ada"}, events.SendOptions{ID: id})
			kit.Deliver("user.commands", tt.typ, []byte(`{"id":"`+id+`","type":"`+tt.typ+`","data":`+tt.data+`}`))
			poisoned := append(kit.Poisoned("register"), kit.Poisoned("move")...)
			switch {
			case tt.code == "" && len(poisoned) > 0:
				t.Errorf("the poison messages are %+v", poisoned)
			case tt.code != "" && (len(poisoned) != 1 || poisoned[0].Code != tt.code || poisoned[0].Attempts != 1):
				t.Errorf("the poison messages are %+v, want one with %s", poisoned, tt.code)
			}
			if got := kit.Published("user.events"); len(got) != 1 {
				t.Errorf("the events are %+v", got)
			}
		})
	}
}
