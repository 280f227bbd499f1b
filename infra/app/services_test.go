package app_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/app"
	"github.com/pitwheel/pitwheel/infra/embedded"
	"github.com/pitwheel/pitwheel/infra/settings"
	"github.com/pitwheel/pitwheel/router"
	"github.com/pitwheel/pitwheel/router/routertest/sample"
)

// TestServices has a handler send a command and read a projection.
func TestServices(t *testing.T) {
	t.Parallel()
	followed := make(chan events.Outcome, 10)
	a := minimal(func(s app.Services) []router.Handler {
		return []router.Handler{router.On("close-spam", func(ctx context.Context, e router.Event[sample.Created]) error {
			if e.Data.Name != "Spam" {
				return nil
			}
			o, err := s.Commands.Execute(ctx, sample.Deactivate{UserID: e.AggregateID, Reason: s.Settings.String("reason")}, events.SendOptions{})
			if err == nil {
				followed <- o
			}
			return err
		})}
	})
	a.Settings = []settings.Setting{{Name: "reason", Default: "looks like spam", Usage: "why"}}
	running, stop := start(t, a, app.Options{})
	ctx := within(t)
	first, err := running.Execute(ctx, sample.Create{Email: "x@example.com", Name: "Spam"}, events.SendOptions{})
	if err != nil || first.Status != events.StatusAccepted {
		t.Fatalf("%+v %v", first, err)
	}
	select {
	case o := <-followed:
		if o.Status != events.StatusAccepted || o.Version != 2 || o.CorrelationID != first.CorrelationID {
			t.Errorf("the follow-up command ended as %+v", o)
		}
	case <-ctx.Done():
		t.Fatal("no follow-up command")
	}
	// Its own process sees the row by HTTP.
	for body := ""; !strings.Contains(body, `"closed":true`); {
		resp, err := http.Get("http://" + running.Addr() + "/v1/projections/user-directory/" + first.AggregateID)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if body = string(text); ctx.Err() != nil {
			t.Fatalf("the row is %s", body)
		}
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// TestServices_Startup uses services before the router runs: from a goroutine that
// Handlers starts, and from an HTTP route.
func TestServices_Startup(t *testing.T) {
	t.Parallel()
	outcomes := make(chan error, 1)
	a := minimal(func(s app.Services) []router.Handler {
		ctx, cancel := context.WithCancel(context.Background())
		var wg sync.WaitGroup
		s.OnStop(func() error {
			cancel()
			wg.Wait()
			return nil
		})
		wg.Go(func() {
			o, err := s.Commands.Execute(ctx, sample.Create{Email: "admin@example.com", Name: "Admin"}, events.SendOptions{ID: "admin"})
			if err == nil && o.Status != events.StatusAccepted {
				err = fmt.Errorf("%+v", o)
			}
			if events.CodeOf(err) != events.CodeUnavailable { // As when handlers are only described.
				outcomes <- err
			}
		})
		return nil
	})
	a.Routes = func(s app.Services) map[string]http.Handler {
		return map[string]http.Handler{"GET /count": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			rows, err := app.List[sample.Row](r.Context(), s.Projections, "user-directory", "", 10)
			_, _ = fmt.Fprintf(w, "%d %v", len(rows), err)
		})}
	}
	running, stop := start(t, a, app.Options{})
	ctx := within(t)
	select {
	case err := <-outcomes:
		if err != nil {
			t.Error(err)
		}
	case <-ctx.Done():
		t.Fatal("no outcome")
	}
	for body := ""; body != "1 <nil>"; {
		resp, err := http.Get("http://" + running.Addr() + "/count")
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if body = string(text); ctx.Err() != nil {
			t.Fatalf("the count is %s", body)
		}
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// TestDefinition_ConnectServices has what was opened with the services closed with them.
func TestDefinition_ConnectServices(t *testing.T) {
	t.Parallel()
	server, err := embedded.Start(embedded.Config{Addr: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	d, err := app.Define(minimal(nil))
	if err != nil {
		t.Fatal(err)
	}
	s, closeAll, err := d.ConnectServices(within(t), d.Settings.Defaults().With(map[string]string{"redis_url": server.URL()}))
	if err != nil {
		t.Fatal(err)
	}
	stopped := 0
	s.OnStop(func() error { stopped++; return nil })
	if err := closeAll(); err != nil || stopped != 1 {
		t.Errorf("closed with %v, and %d functions called", err, stopped)
	}
}

// TestServices_Described has everything answer UNAVAILABLE where handlers are only
// described.
func TestServices_Described(t *testing.T) {
	t.Parallel()
	var errs []error
	stopped := 0
	a := minimal(func(s app.Services) []router.Handler {
		s.OnStop(func() error { stopped++; return nil })
		ctx := context.Background()
		_, err := s.Commands.Send(ctx, sample.Create{}, events.SendOptions{})
		errs = append(errs, err)
		_, err = s.Commands.Execute(ctx, sample.Create{}, events.SendOptions{})
		errs = append(errs, err)
		_, _, err = app.Row[sample.Row](ctx, s.Projections, "user-directory", "x")
		errs = append(errs, err)
		_, err = app.List[sample.Row](ctx, s.Projections, "user-directory", "", 1)
		errs = append(errs, err)
		s.Logger.Info("discarded")
		if s.Now().IsZero() || s.Settings.String("namespace") != "" {
			errs = append(errs, errors.New("there is no clock, or no default"))
		}
		return nil
	})
	d, err := app.Define(a)
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range errs {
		if events.CodeOf(err) != events.CodeUnavailable {
			t.Errorf("got %v, want UNAVAILABLE", err)
		}
	}
	if len(errs) != 4 || stopped != 1 {
		t.Errorf("%d calls were answered, and %d functions called at the end", len(errs), stopped)
	}
	if names := d.HandlerNames(); !slices.Equal(names, []string{"create-user", "change-user-email", "deactivate-user", "send-welcome", "user-directory"}) {
		t.Errorf("the handlers are %v", names)
	}
	if names := d.Projections(); !slices.Equal(names, []string{"user-directory"}) {
		t.Errorf("the projections are %v", names)
	}
}
