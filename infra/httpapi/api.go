package httpapi

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"regexp"
	"slices"

	"github.com/pitwheel/pitwheel/events"
)

// Commands sends commands and executes them.
type Commands interface {
	// Send returns when the command is on its way.
	Send(ctx context.Context, cmd events.Command, o events.SendOptions) (events.Receipt, error)
	// Execute returns the outcome of a command. When ctx ends first, it returns an error
	// and, if the command is on its way all the same, an outcome with the status unknown
	// and the command's ids.
	Execute(ctx context.Context, cmd events.Command, o events.SendOptions) (events.Outcome, error)
}

// Projections reads the rows of projections.
type Projections interface {
	// Rows returns the rows of the given keys, in their order; nil for a missing one.
	Rows(ctx context.Context, projection string, keys []string) ([][]byte, error)
	// List returns up to limit rows whose keys come after the given one, sorted by key.
	List(ctx context.Context, projection, after string, limit int) ([]events.Row, error)
}

// Config of the HTTP interface. Catalogue, Commands and Projections are required.
type Config struct {
	// Application and Version are what GET / shows. Optional.
	Application, Version string
	// Example is a command that serves as the example of its type where types are
	// described. Optional.
	Example     events.Command
	Catalogue   *events.Catalogue
	Commands    Commands
	Projections Projections
	// Names are those of the projections that can be read.
	Names []string
	// Ready returns each handler that is not consuming and should, and why. nil or
	// empty: ready.
	Ready func() map[string]error
	// Warnings returns what an operator has to look at, by its name, though the service is
	// ready. Optional.
	Warnings func() map[string]string
	// Paused are the handlers that are not to consume. They are listed, and the service is
	// ready all the same.
	Paused []string
	// Stopping is closed when the service begins to stop: it is not ready then, and
	// refuses commands with the code SHUTTING_DOWN. Nil: it never does.
	Stopping <-chan struct{}
	// Metrics serves /metrics. Nil: nothing does.
	Metrics http.Handler
	// Extra are further handlers by their http.ServeMux pattern, such as "GET /mail"; "/",
	// without a method, gets all paths that nothing else handles. With one for "/", there
	// is no list of what is there.
	Extra map[string]http.Handler
	// MaxBody bounds a request's body, in bytes. 0: 1 MiB.
	MaxBody int64
	// Logger may be nil. It gets an access line at Debug, without payloads, and
	// internal errors at Error.
	Logger *slog.Logger
}

// New returns the handler of all routes. An error has the code CONFIG.
func New(c Config) (http.Handler, error) {
	switch {
	case c.Catalogue == nil || c.Commands == nil || c.Projections == nil:
		return nil, events.Errorf(events.CodeConfig, "httpapi: Catalogue, Commands and Projections must be given")
	case c.MaxBody < 0:
		return nil, events.Errorf(events.CodeConfig, "httpapi: MaxBody is %d bytes; it must not be negative", c.MaxBody)
	}
	a := &api{
		Config: c, mux: http.NewServeMux(),
		correlationIDs: regexp.MustCompile(`^[a-zA-Z0-9_.:/+=@-]{1,128}$`),
		traceparents:   regexp.MustCompile(`^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}[0-9a-f-]{0,73}$`),
	}
	a.Names = slices.Sorted(slices.Values(c.Names))
	a.MaxBody = cmp.Or(a.MaxBody, 1<<20)
	a.Logger = cmp.Or(a.Logger, slog.New(slog.DiscardHandler))
	if err := a.routes(); err != nil {
		return nil, err
	}
	// A web page of another origin must not send commands to a service that only this
	// machine can reach. Clients that are not browsers are not affected.
	guard := http.NewCrossOriginProtection()
	guard.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.fail(w, r, http.StatusForbidden, events.Errorf(events.CodeInvalid, "a page of another origin may not send commands"))
	}))
	return a.logged(a.recovered(guard.Handler(a.mux))), nil
}

type api struct {
	Config
	mux *http.ServeMux
	// What the headers of callers may hold.
	correlationIDs, traceparents *regexp.Regexp
}

// routes lists all routes. What they do not handle is answered by [api.fallback].
func (a *api) routes() error {
	routes := []struct {
		pattern string
		handler http.Handler
	}{
		{"GET /v1/commands", a.endpoint(a.commandTypes)},
		{"GET /v1/commands/{type}", a.endpoint(a.commandType)},
		{"POST /v1/commands/{type}", a.endpoint(a.command)},
		{"GET /v1/projections", a.endpoint(a.projectionNames)},
		{"GET /v1/projections/{name}", a.endpoint(a.rows)},
		{"GET /v1/projections/{name}/{key}", a.endpoint(a.row)},
		{"GET /livez", http.HandlerFunc(live)},
		{"GET /readyz", http.HandlerFunc(a.ready)},
		{"GET /metrics", a.Metrics},
	}
	for _, r := range routes {
		if r.handler != nil {
			a.mux.Handle(r.pattern, r.handler)
		}
	}
	for pattern, h := range a.Extra {
		if pattern == "/" {
			continue
		}
		if err := handle(a.mux, pattern, h); err != nil {
			return err
		}
	}
	if !a.ownRoot() {
		a.mux.Handle("GET /{$}", a.endpoint(a.index))
	}
	a.mux.Handle("/", a.fallback())
	return nil
}

// handle registers a further handler; http.ServeMux panics if the pattern is wrong or
// taken.
func handle(mux *http.ServeMux, pattern string, h http.Handler) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = events.Errorf(events.CodeConfig, "httpapi: the route %q cannot be added: %w", pattern, fmt.Errorf("%v", p))
		}
	}()
	mux.Handle(pattern, h)
	return nil
}
