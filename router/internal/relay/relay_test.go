package relay_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/go-cmp/cmp"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router/internal/health"
	"github.com/pitwheel/pitwheel/router/internal/relay"
	"github.com/pitwheel/pitwheel/router/routertest"
)

// exchange is a publisher whose topics fail or hang.
type exchange struct {
	mu        sync.Mutex
	fails     map[string]error
	hangs     map[string]bool
	published map[string][]*message.Message
}

func (x *exchange) Publish(topic string, msgs ...*message.Message) error {
	x.mu.Lock()
	hangs := x.hangs[topic]
	x.mu.Unlock()
	if hangs {
		<-msgs[0].Context().Done()
		return msgs[0].Context().Err()
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if err := x.fails[topic]; err != nil {
		return err
	}
	if x.published == nil {
		x.published = map[string][]*message.Message{}
	}
	x.published[topic] = append(x.published[topic], msgs...)
	return nil
}

func (*exchange) Close() error { return nil }

func (x *exchange) set(topic string, err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.fails = map[string]error{topic: err}
}

// positions returns what was published on a topic.
func (x *exchange) positions(topic string) []string {
	x.mu.Lock()
	defer x.mu.Unlock()
	var out []string
	for _, m := range x.published[topic] {
		out = append(out, m.Metadata[events.MetaLogPosition])
	}
	return out
}

// record appends an event of an aggregate, and returns its position.
func record(t *testing.T, store *routertest.Store, aggregate string) string {
	t.Helper()
	id := events.NewID()
	_, err := store.Append(t.Context(), events.AppendRequest{
		Aggregate: aggregate, AggregateID: id,
		Outcome: events.Outcome{Status: events.StatusAccepted, Command: "C", CommandID: events.NewID(), Aggregate: aggregate, AggregateID: id, Version: 1},
		Events: []events.Envelope{{Header: events.Header{
			ID: events.NewID(), Type: "T", Timestamp: time.Now(), Aggregate: aggregate, AggregateID: id, Version: 1, SchemaVersion: 1,
		}, Data: []byte(`{}`)}},
	})
	if err != nil {
		t.Fatal(err)
	}
	end, _ := store.End(t.Context())
	return fmt.Sprint(end.At(0))
}

// run runs a relay in a bubble until the test's end.
func run(t *testing.T, store *routertest.Store, x *exchange) (r *relay.Relay, ended <-chan error) {
	t.Helper()
	r = relay.New(store, store, x, slog.New(slog.DiscardHandler))
	ctx, stop := context.WithCancel(context.Background())
	done, over := make(chan error, 1), make(chan struct{})
	go func() {
		defer close(over)
		done <- r.Run(ctx)
	}()
	t.Cleanup(func() {
		stop()
		<-over
	})
	return r, done
}

func checkpoint(t *testing.T, store *routertest.Store) uint64 {
	t.Helper()
	at, err := store.Checkpoint(t.Context(), relay.Role)
	if err != nil {
		t.Fatal(err)
	}
	return at.At(0)
}

func TestRelay_EventsNameTheirPlaceInTheLog(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store, x := &routertest.Store{}, &exchange{}
		_, _ = run(t, store, x)
		record(t, store, "user")
		record(t, store, "user")
		synctest.Wait()
		epoch, _ := store.Epoch(t.Context())
		for i, m := range x.published["user.events"] {
			got := []string{m.Metadata[events.MetaLogPartition], m.Metadata[events.MetaLogPosition], m.Metadata[events.MetaLogEpoch]}
			if diff := cmp.Diff([]string{"0", fmt.Sprint(i + 1), epoch}, got); diff != "" {
				t.Errorf("the place of event %d (-want +got):\n%s", i, diff)
			}
		}
		if n := len(x.published["user.events"]); n != 2 || checkpoint(t, store) != 2 {
			t.Errorf("%d events are published, the checkpoint is %d", n, checkpoint(t, store))
		}
	})
}

// A topic that fails, or does not answer, holds up no other one, whose events are published
// once. It is tried again, and gets its events in order.
func TestRelay_TopicsFailAlone(t *testing.T) {
	t.Parallel()
	bad := events.Errorf(events.CodeUnavailable, "the exchange is bad")
	for name, hang := range map[string]bool{"it fails": false, "it hangs": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				store, x := &routertest.Store{}, &exchange{fails: map[string]error{"order.events": bad}, hangs: map[string]bool{"order.events": hang}}
				r, ended := run(t, store, x)
				var users, orders []string
				for i := range 120 {
					users = append(users, record(t, store, "user"))
					if i%3 == 0 {
						orders = append(orders, record(t, store, "order"))
					}
					<-time.After(250 * time.Millisecond)
				}
				if diff := cmp.Diff(users, x.positions("user.events")); diff != "" {
					t.Errorf("the events of the good topic (-want +got):\n%s", diff)
				}
				if at := checkpoint(t, store); fmt.Sprint(at+1) != orders[0] {
					t.Errorf("the checkpoint is %d; the first event that is not published has position %s", at, orders[0])
				}
				if err := r.Health().Err(); err == nil || !strings.Contains(err.Error(), "order.events") {
					t.Errorf("the health is %v; want one that names the topic", err)
				}
				if len(ended) > 0 {
					t.Fatalf("the role was given up: %v", <-ended)
				}
				if hang {
					return // It ends with the role.
				}
				x.set("order.events", nil)
				<-time.After(10 * time.Second)
				if diff := cmp.Diff(orders, x.positions("order.events")); diff != "" {
					t.Errorf("the events of the topic that was bad (-want +got):\n%s", diff)
				}
				end, _ := store.End(t.Context())
				if at := checkpoint(t, store); at != end.At(0) {
					t.Errorf("the checkpoint is %d; want %d", at, end.At(0))
				}
				if err := r.Health().Err(); err != nil {
					t.Errorf("all is published, and the health is %v", err)
				}
				next := record(t, store, "order")
				synctest.Wait()
				if got := x.positions("order.events"); got[len(got)-1] != next {
					t.Errorf("the last event is %s; want %s", got[len(got)-1], next)
				}
				if diff := cmp.Diff(users, x.positions("user.events")); diff != "" {
					t.Errorf("the events of the good topic (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// What is published beyond the checkpoint is bounded: a crash publishes it again.
func TestRelay_WaitsForATopicThatIsFarBehind(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store, x := &routertest.Store{}, &exchange{fails: map[string]error{"order.events": errors.New("bad")}}
		_, _ = run(t, store, x)
		record(t, store, "order")
		const all = 6000
		for i := range all {
			record(t, store, "user")
			if i%100 == 0 {
				synctest.Wait()
			}
		}
		<-time.After(4 * time.Second)
		if n := len(x.positions("user.events")); n < 4000 || n > 5000 {
			t.Errorf("%d of %d events are published while one holds up the checkpoint; want some 4,096", n, all)
		}
		x.set("order.events", nil)
		<-time.After(20 * time.Second)
		if n := len(x.positions("user.events")); n != all {
			t.Errorf("%d of %d events are published in the end", n, all)
		}
	})
}

// A relay that can publish nothing is given up, with what nothing was lost by.
func TestRelay_GivesUpWhereNothingCanBePublished(t *testing.T) {
	t.Parallel()
	for name, x := range map[string]*exchange{
		"it fails": {fails: map[string]error{"user.events": errors.New("away")}},
		"it hangs": {hangs: map[string]bool{"user.events": true}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				store := &routertest.Store{}
				r, ended := run(t, store, x)
				record(t, store, "user")
				began := time.Now()
				if err := <-ended; !health.IsGivenUp(err) {
					t.Errorf("it ended with %v", err)
				}
				if took := time.Since(began); took < 4*time.Second || took > 15*time.Second {
					t.Errorf("it was given up after %s", took)
				}
				if r.Health().Err() == nil {
					t.Error("while no other instance may have it, nothing is shown")
				}
				other := &exchange{}
				_, _ = run(t, store, other)
				synctest.Wait()
				if diff := cmp.Diff([]string{"1"}, other.positions("user.events")); diff != "" {
					t.Errorf("published by the next one (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// A relay whose checkpoint another instance has opened begins again, and publishes nothing
// twice that was saved.
func TestRelay_IsFenced(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store, x := &routertest.Store{}, &exchange{}
		_, _ = run(t, store, x)
		first := record(t, store, "user")
		synctest.Wait()
		if _, err := store.OpenCheckpoint(t.Context(), relay.Role, "another"); err != nil {
			t.Fatal(err)
		}
		second := record(t, store, "user")
		<-time.After(5 * time.Second)
		got := x.positions("user.events")
		if want := []string{first, second, second}; !slices.Equal(got, want) || checkpoint(t, store) != 2 {
			t.Errorf("published are %v, up to checkpoint %d; want %v and 2", got, checkpoint(t, store), want)
		}
	})
}
