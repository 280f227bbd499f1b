package routertest_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/pubsub/gochannel"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router"
	"github.com/pitwheel/pitwheel/router/routertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errAway = errors.New("away")

// injected asks an inbox n times and returns which times failed, counted from 1.
func injected(f *routertest.Faults, n int) []int {
	inbox := f.Inbox(&routertest.Store{})
	var out []int
	for i := range n {
		if _, err := inbox.Seen(context.Background(), "h", "id"); err != nil {
			out = append(out, i+1)
		}
	}
	return out
}

func TestFaults_Schedules(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		with func(*routertest.Faults)
		want []int
	}{
		{"nothing", func(*routertest.Faults) {}, nil},
		{"every call", func(f *routertest.Faults) { f.On("Seen").Fail() }, []int{1, 2, 3, 4, 5, 6, 7, 8}},
		{"the next three", func(f *routertest.Faults) { f.On("Seen").Times(3).Fail() }, []int{1, 2, 3}},
		{"every third", func(f *routertest.Faults) { f.On("Seen").Every(3).Fail() }, []int{3, 6}},
		{"the fourth", func(f *routertest.Faults) { f.On("Seen").Skip(3).Times(1).Fail() }, []int{4}},
		{"all together", func(f *routertest.Faults) { f.On("Seen").Skip(1).Every(2).Times(2).Fail() }, []int{3, 5}},
		{"two faults", func(f *routertest.Faults) { f.On("Seen").Times(1).Fail(); f.On("Seen").Every(4).LoseAnswer() }, []int{1, 4, 8}},
		{"certainly", func(f *routertest.Faults) { f.On("Seen").Chance(1).Times(2).Fail() }, []int{1, 2}},
		{"never", func(f *routertest.Faults) { f.On("Seen").Chance(0).Fail() }, nil},
		{"of this handler", func(f *routertest.Faults) { f.On("Seen h").Times(1).Fail() }, []int{1}},
		{"of another handler", func(f *routertest.Faults) { f.On("Seen other").Fail() }, nil},
		{"another call", func(f *routertest.Faults) { f.On("Record", "Append").Fail() }, nil},
		{"anything", func(f *routertest.Faults) { f.On("*").Every(5).Fail() }, []int{5}},
		{"nothing to swap", func(f *routertest.Faults) { f.On("*").Swap() }, nil},
		{"ended", func(f *routertest.Faults) { f.On("Seen").Fail().End() }, nil},
		{"all ended", func(f *routertest.Faults) { f.On("Seen").Fail(); f.On("*").Hold(); f.End() }, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var f routertest.Faults
			tt.with(&f)
			if diff := cmp.Diff(tt.want, injected(&f, 8)); diff != "" {
				t.Errorf("not the calls that were to fail (-want +got):\n%s", diff)
			}
		})
	}
}

func TestFaults_Seed(t *testing.T) {
	t.Parallel()
	by := func(seed uint64) string {
		f := routertest.Faults{Seed: seed}
		f.On("Seen").Chance(0.5).Fail()
		return fmt.Sprint(injected(&f, 100))
	}
	first, again, other := by(1), by(1), by(2)
	if first != again || first == other {
		t.Errorf("seed 1 picks %s and %s, seed 2 %s", first, again, other)
	}
	if n := strings.Count(first, " "); n < 30 || n > 70 {
		t.Errorf("a chance of 0.5 picks about %d of 100", n)
	}
}

// A call that fails has done nothing; one whose answer is lost has done everything.
func TestFaults_BeforeAndAfter(t *testing.T) {
	t.Parallel()
	var store routertest.Store
	var f routertest.Faults
	inbox := f.Inbox(&store)
	seen := func(id string) bool {
		ok, _ := store.Seen(t.Context(), "h", id)
		return ok
	}
	f.On("Record").Times(1).Fail(errAway)
	if err := inbox.Record(t.Context(), "h", "1"); err != errAway || seen("1") { //nolint:errorlint // It must be the very error.
		t.Errorf("a call that fails answers %v and has done it: %t", err, seen("1"))
	}
	f.On("Record").Times(1).LoseAnswer()
	if err := inbox.Record(t.Context(), "h", "2"); events.CodeOf(err) != events.CodeUnavailable || !seen("2") {
		t.Errorf("a call whose answer is lost answers %v and has done it: %t", err, seen("2"))
	}
	held := f.On("Record").Hold()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := inbox.Record(ctx, "h", "3"); !errors.Is(err, context.Canceled) || seen("3") {
		t.Errorf("a call that is held answers %v when its context ends, and has done it: %t", err, seen("3"))
	}
	done := make(chan error, 1)
	go func() { done <- inbox.Record(t.Context(), "h", "4") }()
	held.Await(t, 2)
	held.End()
	if err := <-done; err != nil || !seen("4") {
		t.Errorf("a call that is released answers %v and has done it: %t", err, seen("4"))
	}
}

func TestFaults_UnknownCall(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"", "Apend", "Publish*", "Read everything", "append"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			defer func() {
				if r := fmt.Sprint(recover()); !strings.Contains(r, fmt.Sprintf("%q", name)) || !strings.Contains(r, "Append") {
					t.Errorf("it says %s, which does not name %q and what there is", r, name)
				}
			}()
			var f routertest.Faults
			f.On("Append", name)
		})
	}
}

// Any of Watermill's publishers and subscribers will do.
func TestFaults_ForeignPublisherAndSubscriber(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		with func(*routertest.Faults)
		want string
	}{
		{"nothing", func(*routertest.Faults) {}, "1 2 3 4 5"},
		{"published twice", func(f *routertest.Faults) { f.On("Publish t").Duplicate() }, "1 1 2 2 3 3 4 4 5 5"},
		{"published in another order", func(f *routertest.Faults) { f.On("Publish t").Swap() }, "2 1 4 3 5"},
		{"both", func(f *routertest.Faults) { f.On("Publish").Duplicate(); f.On("Publish").Swap() }, "2 2 1 1 4 4 3 3 5 5"},
		{"delivered twice", func(f *routertest.Faults) { f.On("Deliver t").Every(2).Duplicate() }, "1 2 2 3 4 4 5"},
		{"not delivered at first", func(f *routertest.Faults) { f.On("Deliver t").Every(2).Fail() }, "1 2 3 4 5"},
		{"delivered again", func(f *routertest.Faults) { f.On("Deliver t").Every(2).LoseAnswer() }, "1 2 2 3 3 4 4 5 5"},
		{"delivered in another order", func(f *routertest.Faults) { f.On("Deliver t").Every(2).Swap() }, "1 3 2 5 4"},
		{"the last one has no neighbour", func(f *routertest.Faults) { f.On("Deliver t").Skip(4).Swap() }, "1 2 3 4 5"},
		{"late", func(f *routertest.Faults) { f.On("*").Delay(time.Second) }, "1 2 3 4 5"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				channel := gochannel.NewGoChannel(gochannel.Config{OutputChannelBuffer: 0, BlockPublishUntilSubscriberAck: true}, watermill.NopLogger{})
				var f routertest.Faults
				tt.with(&f)
				sub := f.Subscriber(alwaysReady{channel})
				out, err := sub.Subscribe(t.Context(), "t")
				if err != nil {
					t.Fatal(err)
				}
				var got []string
				done := make(chan struct{})
				go func() {
					defer close(done)
					for m := range out {
						got = append(got, string(m.Payload))
						m.Ack()
					}
				}()
				var msgs []*message.Message
				for i := range 5 {
					msgs = append(msgs, message.NewMessage("", []byte(fmt.Sprint(i+1))))
				}
				if err := f.Publisher(channel).Publish("t", msgs...); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Minute) //nolint:forbidigo // The clock is synctest's; nobody sleeps.
				if err := sub.Close(); err != nil {
					t.Error(err)
				}
				<-done
				if diff := cmp.Diff(tt.want, strings.Join(got, " ")); diff != "" {
					t.Errorf("received otherwise than wanted (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// alwaysReady makes a Watermill subscriber one of the router's.
type alwaysReady struct{ message.Subscriber }

func (alwaysReady) Declare(context.Context) error { return nil }

func (s alwaysReady) Drain(context.Context) error { return s.Close() }

func (alwaysReady) Ready() error { return nil }

// A drain ends what a fault makes wait, and loses nothing that it holds back.
func TestFaults_Drain(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		with    func(*routertest.Faults)
		handled int
	}{
		{"held", func(f *routertest.Faults) { f.On("Deliver").Hold() }, 0},
		{"late", func(f *routertest.Faults) { f.On("Deliver").Delay(time.Hour) }, 0},
		{"about to be swapped", func(f *routertest.Faults) { f.On("Deliver").Swap() }, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var transport routertest.Transport
				var f routertest.Faults
				tt.with(&f)
				sub, err := f.Transport(&transport).Subscriber(router.Subscription{Queue: "q", Key: func(*message.Message) string { return "k" }})
				if err != nil {
					t.Fatal(err)
				}
				out, err := sub.Subscribe(t.Context(), "")
				if err != nil {
					t.Fatal(err)
				}
				handled := make(chan int)
				go func() {
					n := 0
					for m := range out {
						n++
						m.Ack()
					}
					handled <- n
				}()
				if err := transport.QueuePublisher().Publish("q", message.NewMessage("1", nil)); err != nil {
					t.Fatal(err)
				}
				synctest.Wait() // The fault has the message.
				began := time.Now()
				if err := sub.Drain(t.Context()); err != nil || time.Since(began) > time.Second {
					t.Errorf("drained after %s: %v", time.Since(began), err)
				}
				if n := <-handled; n != tt.handled {
					t.Errorf("%d messages were handled, want %d", n, tt.handled)
				}
			})
		})
	}
}
