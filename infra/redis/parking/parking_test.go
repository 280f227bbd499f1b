package parking_test

import (
	"fmt"
	"testing"

	"github.com/pitwheel/pitwheel/infra/redis/internal/redistest"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/go-cmp/cmp"

	"github.com/pitwheel/pitwheel/infra/redis"
)

// parking is a store as one handler and one key see it.
type parking struct {
	*redis.Store
	t testing.TB
}

func (p parking) block(id string) string {
	p.t.Helper()
	return redistest.Must[string](p.t)(p.BlockKey(p.t.Context(), "h", "k", id))
}

func (p parking) park(id string) string {
	p.t.Helper()
	return redistest.Must[string](p.t)(p.ParkMessage(p.t.Context(), "h", "k", id, redistest.Message(id, "A", "k")))
}

func (p parking) release(id string) string {
	p.t.Helper()
	next, msg, err := p.ReleaseKey(p.t.Context(), "h", "k", id, false)
	if err != nil {
		p.t.Fatal(err)
	}
	if msg != nil && msg.UUID != next {
		p.t.Errorf("the message of %s is %s", next, msg.UUID)
	}
	return next
}

func (p parking) unpark(id string) {
	p.t.Helper()
	if err := p.UnparkMessage(p.t.Context(), "h", "k", id); err != nil {
		p.t.Fatal(err)
	}
}

// is says who blocks the key, and how many keys and messages wait.
func (p parking) is(step, blocker string, keys, messages int) {
	p.t.Helper()
	is := redistest.Must[string](p.t)(p.KeyBlocker(p.t.Context(), "h", "k"))
	k, m, err := p.CountParked(p.t.Context(), "h")
	if err != nil {
		p.t.Fatal(err)
	}
	if got, want := fmt.Sprint(is, k, m), fmt.Sprint(blocker, keys, messages); got != want {
		p.t.Errorf("%s: blocker, keys and messages are %q, want %q", step, got, want)
	}
}

func TestParking_Steps(t *testing.T) {
	t.Parallel()
	redistest.OnEach(t, func(t *testing.T, url string) {
		namespace := redistest.Namespace(t, url)
		p := parking{redistest.OpenIn(t, url, namespace), t}
		expect := func(what, got, want string) {
			t.Helper()
			if got != want {
				t.Errorf("%s: %q, want %q", what, got, want)
			}
		}
		p.is("at first", "", 0, 0)
		expect("nothing is parked without a blocker", p.park("2"), "")
		p.is("nothing is parked", "", 0, 0)
		expect("blocked", p.block("1"), "1")
		expect("blocked again", p.block("1"), "1")
		expect("blocked by another", p.block("2"), "1")
		expect("the blocker is not parked", p.park("1"), "1")
		for range 2 { // The second time changes nothing.
			expect("parked", p.park("2"), "1")
			expect("parked", p.park("3"), "1")
		}
		p.is("two are parked", "1", 1, 2)
		expect("a release for another message", p.release("2"), "")
		expect("released", p.release("1"), "2")
		p.is("not published yet", "2", 1, 2)
		expect("released again after a crash", p.release("1"), "2")
		expect("and by another message", p.release("3"), "2")
		p.unpark("3") // It is not the blocker.
		p.unpark("2")
		p.unpark("2")
		p.is("published", "2", 1, 1)
		expect("it is in the queue", p.release("1"), "")
		expect("parked behind the new one", p.park("1"), "2")
		expect("released", p.release("2"), "3")
		// It was received and failed before its publisher called UnparkMessage.
		expect("blocked by itself", p.block("3"), "3")
		p.is("it is parked no longer", "3", 1, 1)
		expect("released", p.release("3"), "1")
		// The same, and it was handled.
		expect("the last", p.release("1"), "")
		p.is("at the end", "", 0, 0)
		p.unpark("1")
		expect("released once more", p.release("1"), "")
		p.is("at the end, still", "", 0, 0)
		if left := redistest.Must[[]string](t)(p.Client().Keys(t.Context(), namespace+":*parking:h}*").Result()); len(left) > 1 { // The count.
			t.Errorf("keys are left: %v", left)
		}
	})
}

// A message that was handled is delivered again if its acknowledgement was lost. It must
// not be handled after those that were behind it.
func TestParking_HandledLastIsNotParked(t *testing.T) {
	t.Parallel()
	redistest.OnEach(t, func(t *testing.T, url string) {
		p := parking{redistest.Open(t, url), t}
		for _, tt := range []struct {
			handled  bool
			messages int // that are parked behind 2 then
		}{{true, 0}, {false, 1}} {
			p.block("1")
			p.park("2")
			if _, _, err := p.ReleaseKey(t.Context(), "h", "k", "1", tt.handled); err != nil {
				t.Fatal(err)
			}
			p.unpark("2")
			p.park("1")
			p.is("it comes again", "2", 1, tt.messages)
			p.release("2")
			p.release("1")
			p.is("at the end", "", 0, 0)
		}
	})
}

func TestParking_KeepsMessagesWhole(t *testing.T) {
	t.Parallel()
	redistest.OnEach(t, func(t *testing.T, url string) {
		s := redistest.Open(t, url)
		msg := message.NewMessage("id", []byte{0, 255, '\n'})
		msg.Metadata.Set("type", "A:1,")
		msg.Metadata.Set("Ä", "\x00")
		redistest.Must[string](t)(s.BlockKey(t.Context(), "h", "k", "other"))
		redistest.Must[string](t)(s.ParkMessage(t.Context(), "h", "k", "id", msg))
		_, got, err := s.ReleaseKey(t.Context(), "h", "k", "other", true)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(msg.Metadata, got.Metadata); diff != "" || got.UUID != "id" || string(got.Payload) != string(msg.Payload) {
			t.Errorf("message %s with %q; metadata (-want +got):\n%s", got.UUID, got.Payload, diff)
		}
		// Other keys and handlers know nothing of it.
		for _, other := range [][2]string{{"h", "l"}, {"i", "k"}} {
			if is := redistest.Must[string](t)(s.KeyBlocker(t.Context(), other[0], other[1])); is != "" {
				t.Errorf("%v waits for %s", other, is)
			}
		}
	})
}
