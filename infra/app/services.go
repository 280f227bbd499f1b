package app

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/events/json"
	"github.com/pitwheel/pitwheel/infra/settings"
)

// Services is what handlers can use besides the message that they handle. It is safe for
// concurrent use.
//
// A test makes one with the fields that its handlers use, and fakes for the interfaces:
//
//	services := app.Services{
//		Commands: &fakeCommands{},
//		Settings: settings.ValuesOf(map[string]string{"max_minutes": "90"}),
//		Logger:   slog.New(slog.DiscardHandler),
//		Now:      func() time.Time { return noon },
//	}
//
// [Services.OnStop] and [Services.Fail] do nothing on such a value, nor on a zero one.
type Services struct {
	// Commands sends commands. Within a handler, pass on its context: the command then
	// has the correlation id of the message that is handled, and a retried handler sends the
	// same command again.
	Commands Commands
	// Projections reads the rows of projections; see [Row] and [List].
	Projections Projections
	// Settings are the values of all settings.
	Settings settings.Values
	// Logger is the logger of the process.
	Logger *slog.Logger
	// Now returns the time.
	Now func() time.Time

	lifetime *lifetime // nil in a value that tests have made
}

// Commands sends commands to their handlers, in this process or another one.
type Commands interface {
	// Send returns when the broker has the command. Errors are those of
	// [router.Commands.Send].
	Send(ctx context.Context, cmd events.Command, o events.SendOptions) (events.Receipt, error)
	// Execute returns the outcome of a command, until ctx ends: then the error has the code
	// TIMEOUT and the outcome is unknown. The command is decided in this process if its
	// handler runs here; see [router.Router.Execute]. That a command is rejected is an
	// outcome, unless it is invalid by itself.
	Execute(ctx context.Context, cmd events.Command, o events.SendOptions) (events.Outcome, error)
}

// Projections reads the rows of projections. They may be a moment older than the log.
type Projections interface {
	// Rows returns the rows of the given keys as JSON, in their order; nil for a missing one.
	Rows(ctx context.Context, projection string, keys []string) ([][]byte, error)
	// List returns up to limit rows whose keys come after the given one, sorted by key.
	List(ctx context.Context, projection, after string, limit int) ([]events.Row, error)
}

// Row returns a row of a projection. ok reports whether it exists.
func Row[T any](ctx context.Context, p Projections, projection, key string) (row T, ok bool, err error) {
	rows, err := p.Rows(ctx, projection, []string{key})
	if err != nil || len(rows) == 0 || rows[0] == nil {
		return row, false, err
	}
	err = decode(projection, key, rows[0], &row)
	return row, err == nil, err
}

// List returns up to limit rows of a projection whose keys come after the given one,
// sorted by key.
func List[T any](ctx context.Context, p Projections, projection, after string, limit int) ([]T, error) {
	rows, err := p.List(ctx, projection, after, limit)
	if err != nil {
		return nil, err
	}
	out := make([]T, len(rows))
	for i, r := range rows {
		if err := decode(projection, r.Key, r.Data, &out[i]); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func decode(projection, key string, data []byte, into any) error {
	if err := json.Unmarshal(data, into); err != nil {
		return events.Errorf(events.CodeUndecodable, "the row %q of %s does not fit: %w", key, projection, err)
	}
	return nil
}

// OnStop has f called at the end of the run, when the brokers are closed and no handler
// runs any more, except for those that were still running at the end of drain_timeout.
// Functions are called in the reverse order of their registration. Where nothing is run,
// as when handlers are only described, f is called right after that. It does nothing on
// Services that a test has made.
func (s Services) OnStop(f func() error) {
	if s.lifetime != nil {
		s.lifetime.add(f, nil)
	}
}

// Fail aborts the start with an error, as when something that handlers need cannot be
// opened. The function Handlers must still return its handlers; none of them is run. A nil
// error changes nothing. It does nothing on Services that a test has made.
func (s Services) Fail(err error) {
	if s.lifetime != nil {
		s.lifetime.add(nil, err)
	}
}

// lifetime collects what ends with a run, and what made it fail.
type lifetime struct {
	mu    sync.Mutex
	stops []func() error
	err   error
}

func (l *lifetime) add(stop func() error, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if stop != nil {
		l.stops = append(l.stops, stop)
	}
	l.err = errors.Join(l.err, err)
}

func (l *lifetime) failure() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// end calls what was registered with [Services.OnStop].
func (l *lifetime) end() error {
	l.mu.Lock()
	stops := l.stops
	l.stops = nil
	l.mu.Unlock()
	var errs []error
	for _, stop := range slices.Backward(stops) {
		errs = append(errs, stop())
	}
	return errors.Join(errs...)
}
