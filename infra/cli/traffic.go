package cli

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
	known    []users.Create // the users that were created, the newest last
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
	case dice < 65 || len(t.known) == 0:
		return t.create()
	case dice < 85:
		u := t.someone()
		return users.ChangeEmail{UserID: u.UserID, Email: t.email(u.Name)}
	case dice < 93:
		return users.Deactivate{UserID: t.someone().UserID, Reason: pick("moved to another team", "asked by mail", "left the company", "duplicate account")}
	case dice < 97:
		return users.Deactivate{UserID: events.NewID(), Reason: "asked by mail"} // Refused: nobody has this id.
	default:
		c := t.create()
		c.UserID = t.someone().UserID // Refused: it exists.
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

func (t *traffic) someone() users.Create { return t.known[rand.IntN(len(t.known))] }

// send hands a command over. What goes wrong shows in the log of the service;
// there will be a next command.
func (t *traffic) send(ctx context.Context, c events.Command) {
	receipt, err := t.commands.Send(ctx, c, events.SendOptions{})
	u, creates := c.(users.Create)
	if err != nil || !creates || u.UserID != "" {
		return
	}
	u.UserID = receipt.AggregateID
	if t.known = append(t.known, u); len(t.known) > mostUsers {
		t.known = t.known[1:]
	}
}

func pick(from ...string) string { return from[rand.IntN(len(from))] }
