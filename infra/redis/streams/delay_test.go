package streams_test

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/pitwheel/pitwheel/infra/redis/internal/redistest"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/go-cmp/cmp"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router"
)

func TestTransport_Delay_DeliversWholeAndNeverEarly(t *testing.T) {
	t.Parallel()
	redistest.OnEach(t, func(t *testing.T, url string) {
		s := redistest.Open(t, url)
		sub := redistest.Subscriber(t, s, router.Subscription{Topic: "user.events", Types: []string{"A"}, Queue: "q"})
		out := redistest.Must[<-chan *message.Message](t)(sub.Subscribe(t.Context(), "user.events"))
		strange := message.NewMessage("1", []byte{0, 255, ':', '7'})
		strange.Metadata.Set("name", "wert: \x00\n")
		began := time.Now()
		delays := []time.Duration{700 * time.Millisecond, 50 * time.Millisecond, 300 * time.Millisecond}
		for i, d := range delays {
			msg := strange.Copy()
			msg.UUID = fmt.Sprint(i)
			if i > 0 {
				msg.Metadata.Set(events.MetaType, "B") // Published straight into the queue, any type is for it.
			}
			if err := s.Delay(t.Context(), "q", d, msg); err != nil {
				t.Fatal(err)
			}
		}
		// On a very slow machine the first one may be due before the others are sent.
		ordered := time.Since(began) < delays[0]-delays[2]
		arrived := map[int]bool{}
		for _, due := range []int{1, 2, 0} {
			got := redistest.Next(t, out)
			i, err := strconv.Atoi(got.UUID)
			if err != nil || i >= len(delays) || arrived[i] || ordered && i != due {
				t.Fatalf("message %s arrives, wanted %d", got.UUID, due)
			}
			arrived[i] = true
			if spent := time.Since(began); spent < delays[i] {
				t.Errorf("it came after %s, wanted %s", spent, delays[i])
			}
			want := message.Metadata{"name": "wert: \x00\n"}
			if i > 0 {
				want[events.MetaType] = "B"
			}
			if diff := cmp.Diff(want, got.Metadata); diff != "" {
				t.Errorf("other metadata than before (-want +got):\n%s", diff)
			}
			if string(got.Payload) != string(strange.Payload) {
				t.Errorf("message %d has the body %q", i, got.Payload)
			}
			got.Ack()
		}
	})
}

// Several instances move what is due, none of it twice; what was delayed before they began
// is delivered, too.
func TestTransport_Delay_DeliversEachOnce(t *testing.T) {
	t.Parallel()
	redistest.OnEach(t, func(t *testing.T, url string) {
		namespace := redistest.Namespace(t, url)
		s := redistest.OpenIn(t, url, namespace)
		const n = 500
		msgs := make([]*message.Message, n)
		for i := range msgs {
			msgs[i] = redistest.Message(events.NewID(), "A", "")
		}
		if err := s.Delay(t.Context(), "q", 20*time.Millisecond, msgs...); err != nil {
			t.Fatal(err)
		}
		all := make(chan string, n)
		for range 3 {
			sub := redistest.Subscriber(t, redistest.OpenIn(t, url, namespace), router.Subscription{Queue: "q"})
			out := redistest.Must[<-chan *message.Message](t)(sub.Subscribe(t.Context(), ""))
			go func() { // It ends with the subscription.
				for m := range out {
					all <- m.UUID
					m.Ack()
				}
			}()
		}
		got := map[string]int{}
		for range n {
			select {
			case id := <-all:
				got[id]++
			case <-time.After(time.Minute):
				t.Fatalf("%d of %d came", len(got), n)
			}
		}
		if len(got) != n {
			t.Errorf("%d different messages came, want %d", len(got), n)
		}
	})
}
