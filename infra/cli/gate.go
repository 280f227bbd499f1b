package cli

import (
	"context"
	"maps"
	"sync"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/httpapi"
)

// gate stands between HTTP, which is there from the start, and the service
// behind it, which waits for its brokers first.
type gate struct {
	mu       sync.RWMutex
	commands httpapi.Commands // nil until the gate is open
	views    httpapi.Views
	handlers func() map[string]error
	brokers  map[string]func() error
}

func newGate(s *settings) *gate {
	g := &gate{brokers: map[string]func() error{"redis": absent}}
	if s.AMQPURL != "" {
		g.brokers["rabbitmq"] = absent
	}
	return g
}

func absent() error {
	return events.Errorf(events.CodeUnavailable, "not connected yet").MayRetry()
}

// arrived replaces a broker that was absent by its own word.
func (g *gate) arrived(broker string, ready func() error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.brokers[broker] = ready
}

// open lets requests through.
func (g *gate) open(commands httpapi.Commands, views httpapi.Views, handlers func() map[string]error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.commands, g.views, g.handlers = commands, views, handlers
}

// Ready tells what is not there yet, and why.
func (g *gate) Ready() map[string]error {
	g.mu.RLock()
	defer g.mu.RUnlock()
	out := map[string]error{}
	for name, ready := range g.brokers {
		if err := ready(); err != nil {
			out[name] = err
		}
	}
	switch {
	case g.handlers != nil:
		maps.Copy(out, g.handlers())
	case len(out) == 0:
		out["handlers"] = events.Errorf(events.CodeUnavailable, "starting").MayRetry()
	}
	return out
}

// behind returns the service, if the gate is open.
func (g *gate) behind() (httpapi.Commands, httpapi.Views, error) {
	g.mu.RLock()
	defer g.mu.RUnlock()
	if g.commands == nil {
		return nil, nil, events.Errorf(events.CodeUnavailable, "the service is starting; /readyz says what it waits for").MayRetry()
	}
	return g.commands, g.views, nil
}

// Send sends a command.
func (g *gate) Send(ctx context.Context, cmd events.Command, o events.SendOptions) (events.Receipt, error) {
	commands, _, err := g.behind()
	if err != nil {
		return events.Receipt{}, err
	}
	return commands.Send(ctx, cmd, o)
}

// Await waits for a command's outcome.
func (g *gate) Await(ctx context.Context, r events.Receipt) (events.Outcome, error) {
	commands, _, err := g.behind()
	if err != nil {
		return events.Outcome{}, err
	}
	return commands.Await(ctx, r)
}

// Rows returns rows of a projection.
func (g *gate) Rows(ctx context.Context, projection string, keys []string) ([][]byte, error) {
	_, views, err := g.behind()
	if err != nil {
		return nil, err
	}
	return views.Rows(ctx, projection, keys)
}

// List returns rows of a projection, sorted by key.
func (g *gate) List(ctx context.Context, projection, after string, limit int) ([]events.Row, error) {
	_, views, err := g.behind()
	if err != nil {
		return nil, err
	}
	return views.List(ctx, projection, after, limit)
}
