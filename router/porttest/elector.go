package porttest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/pitwheel/pitwheel/router"
)

// TestElector checks an implementation of [router.Elector]. Each call of Lead counts as
// an instance.
func TestElector(t *testing.T, open func(t *testing.T) router.Elector) {
	s := suite[router.Elector]{t, open}
	s.run("one instance leads, and another follows it", handsOver)
	s.run("each role has a leader", func(t *testing.T, e router.Elector) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		began, ended := make(chan struct{}), make(chan error, 2)
		for _, role := range []string{"relay", "projection:p"} {
			go func() { ended <- e.Lead(ctx, role, leadUntilTheEnd(began)) }()
		}
		wait(t, began)
		wait(t, began)
		cancel()
		for range 2 {
			must(t, waitFor(t, ended))
		}
	})
	s.run("an error of the function is returned, and the role given back", func(t *testing.T, e router.Elector) {
		broken := errors.New("broken")
		for range 2 {
			if err := e.Lead(t.Context(), "r", func(context.Context) error { return broken }); !errors.Is(err, broken) {
				t.Errorf("the error is %v; want that of the function", err)
			}
		}
	})
	s.run("a function that returns nil is run again", func(t *testing.T, e router.Elector) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		runs := 0
		err := e.Lead(ctx, "r", func(context.Context) error {
			if runs++; runs == 2 {
				cancel()
			}
			return nil
		})
		if err != nil || runs != 2 {
			t.Errorf("%d runs, %v; want 2 and no error", runs, err)
		}
	})
	s.run("nothing is led after the end of the context", func(t *testing.T, e router.Elector) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		err := e.Lead(ctx, "r", func(context.Context) error { return errors.New("it is run") })
		must(t, err)
	})
}

// leadUntilTheEnd leads until its context ends, and returns that as its error, which is
// of no account then.
func leadUntilTheEnd(began chan<- struct{}) func(context.Context) error {
	return func(held context.Context) error {
		began <- struct{}{}
		<-held.Done()
		return held.Err()
	}
}

func handsOver(t *testing.T, e router.Elector) {
	began, ended := make(chan struct{}), make(chan error, 2)
	first, stopFirst := context.WithCancel(t.Context())
	defer stopFirst()
	go func() { ended <- e.Lead(first, "r", leadUntilTheEnd(began)) }()
	wait(t, began)
	second, stopSecond := context.WithCancel(t.Context())
	defer stopSecond()
	go func() { ended <- e.Lead(second, "r", leadUntilTheEnd(began)) }()
	select {
	case <-began:
		t.Fatal("two instances lead at the same time")
	case <-time.After(glance):
	}
	stopFirst()
	must(t, waitFor(t, ended))
	wait(t, began)
	stopSecond()
	must(t, waitFor(t, ended))
}

func wait(t *testing.T, c <-chan struct{}) {
	t.Helper()
	waitFor(t, c)
}

// waitFor receives from a channel.
func waitFor[T any](t *testing.T, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		t.Fatalf("nothing came within %s", patience)
		panic("unreachable")
	}
}
