package app

import (
	"context"
	"maps"
	"sync"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router"
)

// startupProxy stands for the commands and projections of a service that is still
// starting: HTTP and [Services] use it from the beginning. Until the brokers are
// connected, it answers with the code UNAVAILABLE, which is HTTP's 503.
type startupProxy struct {
	mu          sync.RWMutex
	commands    *router.Commands // nil until connected
	projections Projections
	router      *router.Router // nil in a client, and until the handlers are made
	brokers     map[string]func() error
	declared    chan struct{} // closed once the queues of all handlers are declared
}

// newStartupProxy returns a proxy of a service that works with the named brokers.
func newStartupProxy(brokers ...string) *startupProxy {
	p := &startupProxy{brokers: map[string]func() error{}, declared: make(chan struct{})}
	for _, name := range brokers {
		p.brokers[name] = func() error { return events.Errorf(events.CodeUnavailable, "not connected yet").MayRetry() }
	}
	return p
}

// setBroker has a broker's own state reported from now on.
func (p *startupProxy) setBroker(name string, ready func() error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.brokers[name] = ready
}

// setConnected lets requests through.
func (p *startupProxy) setConnected(commands *router.Commands, projections Projections) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.commands, p.projections = commands, projections
}

// setRouter has the state of the handlers reported from now on.
// From when its queues are declared, it decides the commands that it has a handler for.
func (p *startupProxy) setRouter(r *router.Router) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.router = r
}

// Ready returns each broker and handler that is not ready, and why.
func (p *startupProxy) Ready() map[string]error {
	p.mu.RLock()
	defer p.mu.RUnlock()
	out := map[string]error{}
	for name, ready := range p.brokers {
		if err := ready(); err != nil {
			out[name] = err
		}
	}
	switch {
	case p.router != nil:
		maps.Copy(out, p.router.Ready())
	case len(out) == 0:
		out["handlers"] = events.Errorf(events.CodeUnavailable, "starting").MayRetry()
	}
	return out
}

// Warnings returns what an operator has to look at, though the service is ready.
func (p *startupProxy) Warnings() map[string]string {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if p.router == nil {
		return nil
	}
	return p.router.Warnings()
}

// service returns what the proxy stands for, if it is connected.
func (p *startupProxy) service() (*router.Commands, Projections, error) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if p.commands == nil {
		return nil, nil, events.Errorf(events.CodeUnavailable, "the service is starting; /readyz says what it waits for").MayRetry()
	}
	return p.commands, p.projections, nil
}

// Send sends a command. One that no queue takes while the service starts is sent again
// when all queues are declared. Within a handler it is not, since the attempt would then
// send a command under another id than its repetition: the handler gets the error.
func (p *startupProxy) Send(ctx context.Context, cmd events.Command, o events.SendOptions) (events.Receipt, error) {
	commands, _, err := p.service()
	if err != nil {
		return events.Receipt{}, err
	}
	return onceDeclared(ctx, p, &o, func() (events.Receipt, error) { return commands.Send(ctx, cmd, o) })
}

// onceDeclared calls send, and again once all queues are declared if none took the
// command before.
func onceDeclared[T any](ctx context.Context, p *startupProxy, o *events.SendOptions, send func() (T, error)) (T, error) {
	select {
	case <-p.declared:
		return send()
	default:
	}
	if o.ID == "" && router.HandlerName(ctx) == "" {
		o.ID = events.NewID()
	}
	out, err := send()
	if events.CodeOf(err) != events.CodeUnhandled || o.ID == "" {
		return out, err
	}
	select {
	case <-p.declared:
		return send()
	case <-ctx.Done():
		return out, err
	}
}

// Execute returns the outcome of a command that is decided here, or else sent to where it
// is. One that no queue takes while the service starts waits as with [startupProxy.Send].
func (p *startupProxy) Execute(ctx context.Context, cmd events.Command, o events.SendOptions) (events.Outcome, error) {
	commands, _, err := p.service()
	if err != nil {
		return events.Outcome{}, err
	}
	execute := commands.Execute
	p.mu.RLock()
	if p.router != nil {
		execute = p.router.Execute
	}
	p.mu.RUnlock()
	return onceDeclared(ctx, p, &o, func() (events.Outcome, error) { return execute(ctx, cmd, o) })
}

// Rows returns rows of a projection.
func (p *startupProxy) Rows(ctx context.Context, projection string, keys []string) ([][]byte, error) {
	_, projections, err := p.service()
	if err != nil {
		return nil, err
	}
	return projections.Rows(ctx, projection, keys)
}

// List returns rows of a projection, sorted by key.
func (p *startupProxy) List(ctx context.Context, projection, after string, limit int) ([]events.Row, error) {
	_, projections, err := p.service()
	if err != nil {
		return nil, err
	}
	return projections.List(ctx, projection, after, limit)
}
