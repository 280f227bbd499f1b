package streams_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"
	goredis "github.com/redis/go-redis/v9"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/redis/internal/redistest"
	"github.com/pitwheel/pitwheel/router"
)

// A mark is for one queue: others skip it, also one that receives every type.
func TestTransport_Mark_IsForOneQueue(t *testing.T) {
	t.Parallel()
	redistest.OnEach(t, func(t *testing.T, url string) {
		ns := redistest.Namespace(t, url)
		s, ctx := redistest.OpenIn(t, url, ns), t.Context()
		outs := map[string]<-chan *message.Message{}
		for queue, types := range map[string][]string{"every": nil, "all too": nil, "some": {"A"}} {
			sub := redistest.Subscriber(t, s, router.Subscription{Topic: "user.events", Types: types, Queue: queue})
			outs[queue] = redistest.Must[<-chan *message.Message](t)(sub.Subscribe(ctx, ""))
		}
		if err := s.Mark(ctx, "user.events", "every", message.NewMessage("m", []byte("body"))); err != nil {
			t.Fatal(err)
		}
		got := redistest.Next(t, outs["every"])
		if kind, ok := got.Metadata[events.MetaType]; got.UUID != "m" || string(got.Payload) != "body" || ok {
			t.Errorf("got %s %q of type %q; want the mark, without a type", got.UUID, got.Payload, kind)
		}
		got.Ack()
		publishAll(t, s, "1")
		for queue, out := range outs {
			msg := redistest.Next(t, out)
			if msg.UUID != "1" {
				t.Errorf("%s got %s; want 1", queue, msg.UUID)
			}
			msg.Ack()
		}
		redistest.Eventually(t, "everything is acknowledged", func() bool {
			n := redistest.Pending(t, s, ns+":every", "every")
			for queue := range outs {
				n += redistest.Pending(t, s, ns+":user.events", queue)
			}
			return n == 0
		})
	})
}

// Of several instances any receives the mark. When it arrives, each of them has received what
// it will get of the messages before it, and finished it after a flush.
func TestTransport_Mark_WithSeveralInstances(t *testing.T) {
	t.Parallel()
	redistest.OnEach(t, func(t *testing.T, url string) {
		ns := redistest.Namespace(t, url)
		s, ctx := redistest.OpenIn(t, url, ns), t.Context()
		const rounds, each = 5, 200
		var mu sync.Mutex
		handled := map[string]int{}
		marks := make(chan string, rounds)
		var instances []router.Subscriber
		for range 3 {
			sub := redistest.Subscriber(t, redistest.OpenIn(t, url, ns), router.Subscription{Topic: "user.events", Types: []string{"A"}, Queue: "q", Concurrency: 2})
			out := redistest.Must[<-chan *message.Message](t)(sub.Subscribe(ctx, ""))
			instances = append(instances, sub)
			go func() { // It ends with the subscription.
				for msg := range out {
					if msg.Metadata[events.MetaType] == "MARK" {
						marks <- msg.UUID
					} else {
						mu.Lock()
						handled[msg.UUID]++
						mu.Unlock()
					}
					msg.Ack()
				}
			}()
		}
		for round := range rounds {
			var msgs, own []*message.Message
			for i := range each {
				msgs = append(msgs, redistest.Message(fmt.Sprint(round, "t", i), "A", fmt.Sprint(i)))
				own = append(own, redistest.Message(fmt.Sprint(round, "q", i), "A", fmt.Sprint(i)))
			}
			if err := s.Publisher().Publish("user.events", msgs...); err != nil {
				t.Fatal(err)
			}
			if err := s.QueuePublisher().Publish("q", own...); err != nil {
				t.Fatal(err)
			}
			if err := s.Mark(ctx, "user.events", "q", redistest.Message(fmt.Sprint(round), "MARK", "")); err != nil {
				t.Fatal(err)
			}
			if got := redistest.Receive(t, marks); got != fmt.Sprint(round) {
				t.Errorf("the mark %s arrives; want %d", got, round)
			}
			for _, sub := range instances {
				if err := redistest.Receive(t, flushing(t, sub)); err != nil {
					t.Fatal(err)
				}
			}
			mu.Lock()
			if want := 2 * each * (round + 1); len(handled) != want {
				t.Errorf("round %d: %d messages are handled after mark and flush; want %d", round, len(handled), want)
			}
			mu.Unlock()
		}
	})
}

// The depth is right where the number that Redis keeps is not: after entries were deleted, with
// types that the queue does not receive, and over many pages.
func TestTransport_QueueDepth(t *testing.T) {
	t.Parallel()
	redistest.OnEach(t, func(t *testing.T, url string) {
		ns := redistest.Namespace(t, url)
		s, ctx, stream := redistest.OpenIn(t, url, ns), t.Context(), ns+":user.events"
		sub := redistest.Subscriber(t, s, router.Subscription{Topic: "user.events", Types: []string{"A", "B"}, Queue: "q"})
		if err := sub.Declare(ctx); err != nil {
			t.Fatal(err)
		}
		const each = 2500
		var msgs []*message.Message
		for i := range each {
			for _, kind := range []string{"A", "B", "C"} {
				msgs = append(msgs, redistest.Message(fmt.Sprint(kind, i), kind, "k"))
			}
		}
		if err := s.Publisher().Publish("user.events", msgs...); err != nil {
			t.Fatal(err)
		}
		if err := s.QueuePublisher().Publish("q", msgs[:10]...); err != nil {
			t.Fatal(err)
		}
		if err := s.Mark(ctx, "user.events", "q", redistest.Message("m", "A", "k")); err != nil {
			t.Fatal(err)
		}
		want := func(want int) {
			t.Helper()
			if n, exists, err := s.QueueDepth(ctx, "user.events", "q"); n != want || !exists || err != nil {
				t.Errorf("QueueDepth is %d, %v, %v; want %d", n, exists, err, want)
			}
		}
		want(2*each + 10)
		all := redistest.Must[[]goredis.XMessage](t)(s.Client().XRangeN(ctx, stream, "-", "+", 300).Result())
		var ids []string
		for _, e := range all[:100] { // One more A than B.
			ids = append(ids, e.ID)
		}
		if err := s.Client().XDel(ctx, stream, ids...).Err(); err != nil {
			t.Fatal(err)
		}
		want(2*each + 10 - 67)
		err := s.Client().XReadGroup(ctx, &goredis.XReadGroupArgs{Group: "q", Consumer: "c", Streams: []string{stream, ">"}, Count: 200, Block: -1}).Err()
		if err != nil {
			t.Fatal(err)
		}
		want(2*each + 10 - 200)
		if err := s.Client().XGroupDestroy(ctx, stream, "q").Err(); err != nil {
			t.Fatal(err)
		}
		if n, exists, err := s.QueueDepth(ctx, "user.events", "q"); n != 0 || exists || err != nil {
			t.Errorf("without its group: %d, %v, %v", n, exists, err)
		}
		if err := s.Mark(ctx, "user.events", "q", redistest.Message("m", "A", "k")); events.CodeOf(err) != events.CodeNotFound {
			t.Errorf("a mark for a queue without its group: %v", err)
		}
	})
}
