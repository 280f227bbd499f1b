package porttest_test

import (
	"context"
	"sync"
	"testing"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router"
	"github.com/pitwheel/pitwheel/router/porttest"
)

// positions implements router.Checkpoints in memory.
type positions struct {
	mu     sync.Mutex
	byRole map[string]position
}

type position struct {
	events.Checkpoint
	token string
}

func (p *positions) Checkpoint(_ context.Context, role string) (events.Cursor, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.byRole[role].Cursor.Clone(16), nil
}

func (p *positions) OpenCheckpoint(_ context.Context, role, token string) (events.Checkpoint, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.byRole == nil {
		p.byRole = map[string]position{}
	}
	at := position{p.byRole[role].Checkpoint, token}
	at.Cursor = at.Cursor.Clone(16)
	p.byRole[role] = at
	return at.Checkpoint, nil
}

func (p *positions) SaveCheckpoint(_ context.Context, c events.CheckpointCommit) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	at, ok := p.byRole[c.Role]
	moved := !ok || at.token != c.Token
	next := at.Cursor.Clone(16)
	for n := range next {
		from, to := c.From.At(n), c.To.At(n)
		if from != to {
			moved = moved || next[n] != from && next[n] != to
			next[n] = to
		}
	}
	if moved {
		return events.Errorf(events.CodeCursorMoved, "the checkpoint of %s was moved", c.Role)
	}
	p.byRole[c.Role] = position{events.Checkpoint{Cursor: next, Epoch: c.Epoch}, at.token}
	return nil
}

// An implementation of a port, and its test.
func Example() {
	// func TestPositions(t *testing.T)
	_ = func(t *testing.T) {
		porttest.TestCheckpoints(t, func(*testing.T) router.Checkpoints { return &positions{} })
	}
}
