package lease_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/brokertest"
	"github.com/pitwheel/pitwheel/infra/redis"
	"github.com/pitwheel/pitwheel/infra/redis/internal/redistest"
)

func TestElector_Transfer(t *testing.T) {
	t.Parallel()
	redistest.OnEach(t, func(t *testing.T, url string) {
		ns := redistest.Namespace(t, url)
		s, first, second := redistest.OpenIn(t, url, ns), redistest.OpenIn(t, url, ns), redistest.OpenIn(t, url, ns)
		ctx, stop := context.WithCancel(t.Context())
		began, ended := make(chan int, 2), make(chan error, 2)
		lead := func(ctx context.Context, who int) func(context.Context) error {
			return func(held context.Context) error {
				began <- who
				<-held.Done()
				return held.Err()
			}
		}
		go func() { ended <- first.Lead(ctx, "relay", lead(ctx, 1)) }()
		if who := <-began; who != 1 {
			t.Fatalf("%d leads", who)
		}
		ctx2, stop2 := context.WithCancel(t.Context())
		go func() { ended <- second.Lead(ctx2, "relay", lead(ctx2, 2)) }()
		select {
		case who := <-began:
			t.Errorf("%d leads as well as the first", who)
		case <-time.After(1200 * time.Millisecond):
		}
		holder := func() string { return s.Client().Get(t.Context(), ns+":lease:relay").Val() }
		before := holder()
		stop()
		if err := <-ended; err != nil {
			t.Errorf("the end of ctx is not a failure: %v", err)
		}
		if who := holder(); who == before {
			t.Errorf("the role is still that of %s", who)
		}
		<-began
		stop2()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func TestElector_ReturnsTheErrorOfItsFunction(t *testing.T) {
	t.Parallel()
	redistest.OnEach(t, func(t *testing.T, url string) {
		s := redistest.Open(t, url)
		broken := errors.New("broken")
		for range 2 { // The role is given back, so the second time is quick.
			if err := s.Lead(t.Context(), "r", func(context.Context) error { return broken }); !errors.Is(err, broken) {
				t.Errorf("got %v", err)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		runs := 0
		err := s.Lead(ctx, "r", func(context.Context) error {
			if runs++; runs == 2 {
				cancel()
			}
			return nil
		})
		if err != nil || runs != 2 {
			t.Errorf("%d runs, %v; a function that returns nil is run again", runs, err)
		}
	})
}

// A holder that has lost its lease notices while another instance holds it, and leads again
// once the lease has expired, which it does within five seconds after its holder died.
func TestElector_LostLease(t *testing.T) {
	t.Parallel()
	redistest.OnEach(t, func(t *testing.T, url string) {
		ns := redistest.Namespace(t, url)
		s := redistest.OpenIn(t, url, ns)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		began, lost := make(chan struct{}, 2), make(chan struct{}, 2)
		done := make(chan error, 1)
		go func() {
			done <- s.Lead(ctx, "r", func(held context.Context) error {
				began <- struct{}{}
				<-held.Done()
				lost <- struct{}{}
				return errors.New("what it returns now is ignored")
			})
		}()
		redistest.Receive(t, began)
		key := ns + ":lease:r"
		if left := s.Client().PTTL(ctx, key).Val(); left > 5*time.Second {
			t.Errorf("a dead holder would be followed after %s", left)
		}
		// Another instance got it, as after a pause of this process, and lives.
		if err := s.Client().Set(ctx, key, "another", 0).Err(); err != nil {
			t.Fatal(err)
		}
		redistest.Receive(t, lost)
		if holder := s.Client().Get(ctx, key).Val(); holder != "another" || len(began) > 0 {
			t.Errorf("the lease of another instance was taken: now it is that of %s", holder)
		}
		// It dies.
		if err := s.Client().PExpire(ctx, key, 100*time.Millisecond).Err(); err != nil {
			t.Fatal(err)
		}
		redistest.Receive(t, began)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// A user who may not run scripts cannot renew a lease. No other instance has taken it.
func TestElector_LacksRights(t *testing.T) {
	t.Parallel()
	srv := brokertest.StartRedis(t)
	admin := goredis.NewClient(&goredis.Options{Addr: srv.Addr()})
	t.Cleanup(func() { _ = admin.Close() })
	allow := func(rules ...any) {
		if err := admin.Do(t.Context(), append([]any{"acl", "setuser", "app", "reset", "on", ">secret", "~*", "&*"}, rules...)...).Err(); err != nil {
			t.Error(err)
		}
	}
	allow("+@all")
	var log bytes.Buffer // It is written before Lead returns.
	s := redistest.OpenWith(t, redis.Config{URL: "redis://app:secret@" + srv.Addr(), Logger: slog.New(slog.NewTextHandler(&log, nil))})
	for missing, right := range map[string]string{"-@scripting": "evalsha", "-set": "set"} {
		log.Reset()
		if missing == "-set" {
			allow("+@all", missing)
		}
		err := s.Lead(t.Context(), "r", func(ctx context.Context) error {
			allow("+@all", missing)
			<-ctx.Done()
			return ctx.Err()
		})
		var e *events.Error
		if !errors.As(err, &e) || e.Code != events.CodeConfig || !strings.Contains(e.Message, "'"+right+"'") {
			t.Errorf("%s: got %v", missing, err)
		}
		if strings.Contains(log.String(), "another instance") {
			t.Errorf("%s: %s", missing, log.String())
		}
		allow("+@all")
	}
}
