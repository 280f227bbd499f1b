package porttest

import (
	"fmt"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/go-cmp/cmp"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router"
)

// TestParking checks an implementation of [router.Parking].
func TestParking(t *testing.T, open func(t *testing.T) router.Parking) {
	s := suite[router.Parking]{t, open}
	s.run("messages wait behind their blocker, and are released in order", parksInOrder)
	s.run("only what was handled as the last blocker is not parked again", parksUnhandledAgain)
	s.run("a parked message is kept whole", keepsParkedWhole)
}

// key is a parking as one key of one handler sees it.
type key struct {
	router.Parking
	t *testing.T
}

func (k key) block(id, want string) {
	k.t.Helper()
	if got := get[string](k.t)(k.BlockKey(k.t.Context(), "h", "k", id)); got != want {
		k.t.Errorf("blocking with %s: the blocker is %q; want %q", id, got, want)
	}
}

func (k key) park(id, want string) {
	k.t.Helper()
	if got := get[string](k.t)(k.ParkMessage(k.t.Context(), "h", "k", id, message.NewMessage(id, []byte("{}")))); got != want {
		k.t.Errorf("parking %s: the blocker is %q; want %q", id, got, want)
	}
}

func (k key) release(id string, handled bool, want string) {
	k.t.Helper()
	next, msg, err := k.ReleaseKey(k.t.Context(), "h", "k", id, handled)
	must(k.t, err)
	if next != want || (msg != nil) != (want != "") {
		k.t.Errorf("releasing %s: got %q with %v; want %q", id, next, msg, want)
	}
	if msg != nil && msg.UUID != next {
		k.t.Errorf("releasing %s: the message of %s is %s", id, next, msg.UUID)
	}
}

func (k key) unpark(id string) {
	k.t.Helper()
	must(k.t, k.UnparkMessage(k.t.Context(), "h", "k", id))
}

// is checks who blocks the key, and how many keys and messages of the handler wait.
func (k key) is(blocker string, keys, messages int) {
	k.t.Helper()
	is := get[string](k.t)(k.KeyBlocker(k.t.Context(), "h", "k"))
	n, m, err := k.CountParked(k.t.Context(), "h")
	must(k.t, err)
	if got, want := fmt.Sprint(is, " ", n, " ", m), fmt.Sprint(blocker, " ", keys, " ", messages); got != want {
		k.t.Errorf("blocker, keys and messages are %q; want %q", got, want)
	}
}

func parksInOrder(t *testing.T, parking router.Parking) {
	k := key{parking, t}
	k.is("", 0, 0)
	k.park("2", "") // Without a blocker nothing is parked.
	k.is("", 0, 0)
	k.block("1", "1")
	k.block("1", "1")
	k.block("2", "1")
	k.park("1", "1") // A blocker is not parked.
	for range 2 {    // The second time changes nothing.
		k.park("2", "1")
		k.park("3", "1")
	}
	k.is("1", 1, 2)
	k.release("2", false, "") // It is not the blocker.
	k.release("1", false, "2")
	k.is("2", 1, 2)
	k.release("1", false, "2") // Once more, as after a crash,
	k.release("3", false, "2") // and for another message.
	k.unpark("3")              // It is not the blocker.
	k.unpark("2")
	k.unpark("2")
	k.is("2", 1, 1)
	k.release("1", false, "") // The blocker is in the queue already.
	k.park("1", "2")          // It was not handled, so it waits behind the new one.
	k.release("2", false, "3")
	k.block("3", "3") // It failed before it was unparked.
	k.is("3", 1, 1)
	k.release("3", false, "1")
	k.release("1", false, "") // It was handled before it was unparked.
	k.is("", 0, 0)
	k.unpark("1")
	k.release("1", false, "")
	k.is("", 0, 0)
}

// parksUnhandledAgain checks what happens to a message that comes again because its
// acknowledgement was lost: it must not come after those that were behind it.
func parksUnhandledAgain(t *testing.T, parking router.Parking) {
	k := key{parking, t}
	for _, handled := range []bool{true, false} {
		k.block("1", "1")
		k.park("2", "1")
		k.release("1", handled, "2")
		k.unpark("2")
		k.park("1", "2")
		if handled {
			k.is("2", 1, 0)
			k.release("2", false, "")
		} else {
			k.is("2", 1, 1)
			k.release("2", false, "1")
			k.release("1", false, "")
		}
		k.is("", 0, 0)
	}
}

func keepsParkedWhole(t *testing.T, parking router.Parking) {
	ctx, body := t.Context(), []byte{0, 255, '\n'}
	sent := message.NewMessage("id", body)
	sent.Metadata = message.Metadata{events.MetaType: "A:1,", "Ä": "\x00", "empty": ""}
	want := sent.Copy()
	get[string](t)(parking.BlockKey(ctx, "h", "k", "blocker"))
	get[string](t)(parking.ParkMessage(ctx, "h", "k", "id", sent))
	sent.Metadata.Set("later", "change") // The parking has a copy of its own.
	_, got, err := parking.ReleaseKey(ctx, "h", "k", "blocker", true)
	must(t, err)
	if got == nil {
		t.Fatal("nothing is released")
	}
	if diff := cmp.Diff(want.Metadata, got.Metadata); diff != "" || got.UUID != "id" || string(got.Payload) != string(body) {
		t.Errorf("message %s with %q; metadata (-want +got):\n%s", got.UUID, got.Payload, diff)
	}
	for _, other := range [][2]string{{"h", "l"}, {"i", "k"}, {"h:k", ""}} {
		if is := get[string](t)(parking.KeyBlocker(ctx, other[0], other[1])); is != "" {
			t.Errorf("%q has the blocker %s", other, is)
		}
	}
	if keys, messages, err := parking.CountParked(ctx, "i"); keys+messages != 0 || err != nil {
		t.Errorf("another handler has %d keys and %d messages: %v", keys, messages, err)
	}
}
