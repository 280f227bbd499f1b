package users

import (
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/pitwheel/pitwheel/events"
)

// maxSamples bounds how many users sample commands refer to.
const maxSamples = 1000

// Sample returns one command that is always accepted.
func Sample() events.Command {
	return Create{Email: "grace.hopper@example.com", Name: "Grace Hopper"}
}

// Samples returns a function that makes up commands as a real service gets them: most
// create users, some change or close an account, and a few are rejected. The function
// must not be called by several goroutines at once.
func Samples() func() events.Command { return (&samples{}).next }

// samples remembers the users that it has created, the newest last.
type samples struct {
	known []Create
	count int
}

func (s *samples) next() events.Command {
	switch dice := rand.IntN(100); {
	case dice < 65 || len(s.known) == 0:
		c := s.create()
		if s.known = append(s.known, c); len(s.known) > maxSamples {
			s.known = s.known[1:]
		}
		return c
	case dice < 85:
		u := s.someone()
		return ChangeEmail{UserID: u.UserID, Email: s.email(u.Name)}
	case dice < 93:
		return Deactivate{UserID: s.someone().UserID, Reason: pick("moved to another team", "asked by mail", "left the company", "duplicate account")}
	case dice < 97:
		return Deactivate{UserID: events.NewID(), Reason: "asked by mail"} // Rejected: no user has this id.
	default:
		c := s.create()
		c.UserID = s.someone().UserID // Rejected: it exists.
		return c
	}
}

func (s *samples) create() Create {
	name := pick("Ada", "Alan", "Barbara", "Dennis", "Edsger", "Frances", "Grace", "Hedy", "John", "Katherine", "Ken", "Margaret", "Niklaus", "Radia", "Shafi", "Tony") +
		" " + pick("Allen", "Backus", "Dijkstra", "Goldwasser", "Hamilton", "Hoare", "Hopper", "Johnson", "Lamarr", "Liskov", "Lovelace", "Perlman", "Ritchie", "Thompson", "Turing", "Wirth")
	return Create{UserID: events.NewID(), Name: name, Email: s.email(name)}
}

// email returns an address that no other command of these samples has.
func (s *samples) email(name string) string {
	s.count++
	return fmt.Sprintf("%s.%d@example.com", strings.ToLower(strings.ReplaceAll(name, " ", ".")), s.count)
}

func (s *samples) someone() Create { return s.known[rand.IntN(len(s.known))] }

func pick(from ...string) string { return from[rand.IntN(len(from))] }
