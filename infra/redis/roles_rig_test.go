package redis_test

import (
	"bytes"
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/redis"
	"github.com/pitwheel/pitwheel/infra/redis/internal/redistest"
	"github.com/pitwheel/pitwheel/router"
	"github.com/pitwheel/pitwheel/router/routertest"
	"github.com/pitwheel/pitwheel/router/routertest/sample"
)

// bus is a transport that records what is published, and can hold it up.
type bus struct {
	router.Transport
	mu        sync.Mutex
	published map[string]int // by the event's id
	away      error          // not nil: publishing fails
	hold      chan struct{}  // not nil: publishing hangs until it is closed
	holding   chan struct{}  // receives when it begins to
}

func newBus() *bus {
	return &bus{Transport: &routertest.Transport{}, published: map[string]int{}, holding: make(chan struct{}, 1000)}
}

func (b *bus) Publisher() message.Publisher { return b }

func (b *bus) Publish(_ string, msgs ...*message.Message) error {
	b.mu.Lock()
	hold := b.hold
	b.mu.Unlock()
	if hold != nil {
		select {
		case b.holding <- struct{}{}:
		default:
		}
		select {
		case <-hold:
		case <-msgs[0].Context().Done():
			return msgs[0].Context().Err()
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.away != nil {
		return b.away
	}
	for _, m := range msgs {
		b.published[m.UUID]++
	}
	return nil
}

func (b *bus) Close() error { return nil }

// hang lets publishing hang, and returns once it does, with a function that ends it.
func (b *bus) hang(t *testing.T) (resume func()) {
	t.Helper()
	hold := make(chan struct{})
	b.mu.Lock()
	b.hold = hold
	b.mu.Unlock()
	redistest.Receive(t, b.holding)
	return sync.OnceFunc(func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.hold = nil
		close(hold)
	})
}

func (b *bus) cutOff(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.away = err
}

func (b *bus) missing(ids []string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := 0
	for _, id := range ids {
		if b.published[id] == 0 {
			n++
		}
	}
	return n
}

// directory is a projection of all users.
func directory() router.Handler {
	return router.Project("directory", router.Case(func(row *string, e router.Event[sample.Created]) error {
		*row = e.Data.Email
		return nil
	}))
}

// logBuffer is a log that can be read while it is written.
type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// runRoles runs relay and projection of a store until the test ends.
func runRoles(t *testing.T, s *redis.Store, b *bus) (*router.Router, *logBuffer) {
	t.Helper()
	log := &logBuffer{}
	r := redistest.Must[*router.Router](t)(router.New(router.Config{
		Catalogue: sample.Catalogue(), Handlers: []router.Handler{directory()}, Transport: b,
		Log: s, Reader: s, Checkpoints: s, Projections: s, Elector: s, Logger: slog.New(slog.NewTextHandler(log, nil)),
	}))
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return r, log
}

// load appends 500 events a second, each of a user of its own.
type load struct {
	mu       sync.Mutex
	accepted []accepted
	stop     context.CancelFunc
	ended    chan struct{}
}

type accepted struct {
	event, user string
	asked       time.Time
}

func startLoad(t *testing.T, s *redis.Store) *load {
	ctx, stop := context.WithCancel(t.Context())
	l := &load{stop: stop, ended: make(chan struct{})}
	go func() {
		defer close(l.ended)
		tick := time.NewTicker(2 * time.Millisecond)
		defer tick.Stop()
		for ctx.Err() == nil {
			<-tick.C
			user, asked := events.NewID(), time.Now()
			a := redistest.Decision(user, events.NewID(), 0, 1)
			_, err := s.Append(ctx, a)
			if events.CodeOf(err) == events.CodeConflict { // The log has lost events that may have been this user's.
				var h events.History
				if h, err = s.Load(ctx, a.Aggregate, user, ""); err == nil {
					a = redistest.Decision(user, events.NewID(), h.Version(), 1)
					_, err = s.Append(ctx, a)
				}
			}
			if err == nil {
				l.mu.Lock()
				l.accepted = append(l.accepted, accepted{a.Events[0].ID, a.AggregateID, asked})
				l.mu.Unlock()
			}
		}
	}()
	t.Cleanup(l.end)
	return l
}

func (l *load) end() {
	l.stop()
	<-l.ended
}

func (l *load) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.accepted)
}

// since returns events and users of what was asked for after a time.
func (l *load) since(at time.Time) (ids, users []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, a := range l.accepted {
		if a.asked.After(at) {
			ids, users = append(ids, a.event), append(users, a.user)
		}
	}
	return ids, users
}

// arrive waits until events are published and projected.
func arrive(t *testing.T, s *redis.Store, b *bus, ids, users []string) {
	t.Helper()
	if len(ids) < 100 {
		t.Fatalf("only %d events", len(ids))
	}
	missing, rows := len(ids), 0
	deadline := time.Now().Add(3 * time.Minute)
	for missing > 0 || rows < len(users) {
		if time.Now().After(deadline) {
			t.Fatalf("of %d events that were accepted afterwards %d were never published, and %d are not in the projection", len(ids), missing, len(users)-rows)
		}
		<-time.After(50 * time.Millisecond)
		missing, rows = b.missing(ids), 0
		texts, err := s.Rows(t.Context(), "directory", users)
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range texts {
			if text != nil {
				rows++
			}
		}
	}
}
