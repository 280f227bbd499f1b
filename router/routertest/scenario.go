package routertest

import (
	"context"

	"github.com/google/go-cmp/cmp"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router/poison"
)

// Scenario tests one decision: given events, when a command is sent, then events follow.
type Scenario struct {
	kit *Kit
	err error // why the command was not sent
	out events.Outcome
	new []any
}

// Given begins a scenario with events that have happened.
func (k *Kit) Given(data ...events.Data) *Given {
	k.t.Helper()
	k.record(data)
	return &Given{k}
}

// Given is the beginning of a scenario.
type Given struct{ kit *Kit }

// When sends a command and waits for its outcome.
func (g *Given) When(cmd events.Command) *Scenario {
	k := g.kit
	k.t.Helper()
	if isNil(cmd) {
		k.t.Fatalf("routertest: the command is nil")
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	s := &Scenario{kit: k}
	before, err := k.store.End(ctx)
	k.must(err)
	receipt, err := k.commands.Send(ctx, cmd, events.SendOptions{})
	if err != nil {
		s.err = err
		return s
	}
	// An error of the log says nothing about the outcome.
	for err = context.Canceled; err != nil && ctx.Err() == nil; {
		s.out, err = k.commands.Await(ctx, receipt)
	}
	if err != nil {
		k.t.Fatalf("routertest: %s has no outcome; poison messages: %+v", cmd.CommandType(), k.allPoisoned())
	}
	k.store.mu.Lock()
	fresh := append([]events.Recorded(nil), k.store.log[before.At(0):]...)
	k.store.mu.Unlock()
	for _, e := range fresh {
		if e.CausationID != receipt.CommandID {
			continue
		}
		v, err := k.catalogue.DecodeData(e.Envelope)
		k.must(err)
		s.new = append(s.new, v)
	}
	return s
}

// Then asserts that the command was accepted and led to exactly these events.
func (s *Scenario) Then(want ...events.Data) {
	k := s.kit
	k.t.Helper()
	if s.err != nil {
		k.t.Fatalf("the command was refused before it was sent: %v", s.err)
	}
	if s.out.Status != events.StatusAccepted {
		k.t.Fatalf("the command was %s: %s: %s", s.out.Status, s.out.Code, s.out.Message)
	}
	var wanted []any
	for _, w := range want {
		wanted = append(wanted, w)
	}
	if diff := cmp.Diff(wanted, s.new); diff != "" {
		k.t.Fatalf("other events than wanted (-want +got):\n%s", diff)
	}
}

// Rejected asserts that the command was refused with this code, and led to no event.
func (s *Scenario) Rejected(code string) {
	k := s.kit
	k.t.Helper()
	got := s.out.Code
	if r, ok := events.AsRejection(s.err); ok {
		got = r.Code
	} else if s.err != nil {
		k.t.Fatalf("the command could not be sent: %v", s.err)
	} else if s.out.Status != events.StatusRejected {
		k.t.Fatalf("the command was %s with %d events; it should have been rejected with %s", s.out.Status, len(s.new), code)
	}
	if got != code {
		k.t.Fatalf("rejected with %s (%s), not with %s", got, s.out.Message, code)
	}
	if len(s.new) > 0 {
		k.t.Fatalf("rejected, and yet there are events: %+v", s.new)
	}
}

func (k *Kit) allPoisoned() []poison.Message {
	var out []poison.Message
	for handler := range k.queues {
		out = append(out, k.Poisoned(handler)...)
	}
	return out
}
