package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/events/users"
	"github.com/pitwheel/pitwheel/router"
)

// traffic sends commands that look like those of a real service: most create
// users, some change or close an account, and a few are refused.
type traffic struct {
	commands *router.Commands
	ids      []string // of users that were created, the newest last
	count    int
}

// mostUsers bounds how many users are remembered.
const mostUsers = 1000

// welcome sends the one command that shows a new user what happens.
func (t *traffic) welcome(ctx context.Context) {
	t.send(ctx, users.Create{Email: "grace.hopper@example.com", Name: "Grace Hopper"})
}

// run sends one command every pause until ctx ends. Without a pause it only waits.
func (t *traffic) run(ctx context.Context, pause time.Duration) error {
	if pause == 0 {
		<-ctx.Done()
		return nil
	}
	ticker := time.NewTicker(pause)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			t.send(ctx, t.next())
		case <-ctx.Done():
			return nil
		}
	}
}

// next makes up a command.
func (t *traffic) next() events.Command {
	switch dice := rand.IntN(100); {
	case dice < 65 || len(t.ids) == 0:
		return t.create()
	case dice < 85:
		return users.ChangeEmail{UserID: t.someone(), Email: t.email(t.name())}
	case dice < 93:
		return users.Deactivate{UserID: t.someone(), Reason: pick("moved to another team", "asked by mail", "left the company", "duplicate account")}
	case dice < 97:
		return users.Deactivate{UserID: events.NewID(), Reason: "asked by mail"} // Refused: nobody has this id.
	default:
		c := t.create()
		c.UserID = t.someone() // Refused: it exists.
		return c
	}
}

func (t *traffic) create() users.Create {
	name := t.name()
	return users.Create{Name: name, Email: t.email(name)}
}

func (t *traffic) name() string {
	return pick("Ada", "Alan", "Barbara", "Dennis", "Edsger", "Frances", "Grace", "Hedy", "John", "Katherine", "Ken", "Margaret", "Niklaus", "Radia", "Shafi", "Tony") +
		" " + pick("Allen", "Backus", "Dijkstra", "Goldwasser", "Hamilton", "Hoare", "Hopper", "Johnson", "Lamarr", "Liskov", "Lovelace", "Perlman", "Ritchie", "Thompson", "Turing", "Wirth")
}

// email is an address that no other command of this run has.
func (t *traffic) email(name string) string {
	t.count++
	return fmt.Sprintf("%s.%d@example.com", strings.ToLower(strings.ReplaceAll(name, " ", ".")), t.count)
}

func (t *traffic) someone() string { return t.ids[rand.IntN(len(t.ids))] }

// send hands a command over. What goes wrong shows in the log of the service;
// there will be a next command.
func (t *traffic) send(ctx context.Context, c events.Command) {
	receipt, err := t.commands.Send(ctx, c, events.SendOptions{})
	if _, created := c.(users.Create); err != nil || !created {
		return
	}
	if t.ids = append(t.ids, receipt.AggregateID); len(t.ids) > mostUsers {
		t.ids = t.ids[1:]
	}
}

func pick(from ...string) string { return from[rand.IntN(len(from))] }
