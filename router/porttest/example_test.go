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
	byRole map[string]events.Cursor
}

func (p *positions) Checkpoint(_ context.Context, role string) (events.Cursor, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.byRole[role].Clone(16), nil
}

func (p *positions) SaveCheckpoint(_ context.Context, role string, c events.Cursor) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	kept := p.byRole[role].Clone(16)
	for partition, position := range c {
		kept[partition] = max(kept[partition], position) // It never moves back.
	}
	if p.byRole == nil {
		p.byRole = map[string]events.Cursor{}
	}
	p.byRole[role] = kept
	return nil
}

// An implementation of a port, and its test.
func Example() {
	// func TestPositions(t *testing.T)
	_ = func(t *testing.T) {
		porttest.TestCheckpoints(t, func(*testing.T) router.Checkpoints { return &positions{} })
	}
}
