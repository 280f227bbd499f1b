package redisdb_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill-redisstream/pkg/redisstream"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/redis/go-redis/v9"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/brokertest"
	"github.com/pitwheel/pitwheel/infra/redisdb"
	"github.com/pitwheel/pitwheel/router"
)

func subscriber(t testing.TB, s *redisdb.Store, cfg router.Subscription) router.Subscriber {
	t.Helper()
	if cfg.Handler == "" {
		cfg.Handler = cfg.Queue
	}
	sub := must[router.Subscriber](t)(s.Subscriber(cfg))
	t.Cleanup(func() {
		if err := sub.Close(); err != nil {
			t.Error(err)
		}
	})
	return sub
}

func note(id, kind, key string) *message.Message {
	msg := message.NewMessage(id, []byte(`{"id":"`+id+`"}`))
	msg.Metadata.Set(events.MetaType, kind)
	msg.Metadata.Set(events.MetaAggregateID, key)
	return msg
}

// next returns the next message, or fails after a minute.
func next(t testing.TB, from <-chan *message.Message) *message.Message {
	t.Helper()
	return nextWithin(t, from, time.Minute)
}

func nextWithin(t testing.TB, from <-chan *message.Message, patience time.Duration) *message.Message {
	t.Helper()
	select {
	case msg, ok := <-from:
		if !ok {
			t.Fatal("the subscription has ended")
		}
		return msg
	case <-time.After(patience):
		t.Fatalf("no message within %s", patience)
		return nil
	}
}

// eventually polls until f holds, for at most a minute.
func eventually(t testing.TB, what string, f func() bool) {
	t.Helper()
	deadline := time.After(time.Minute)
	for !f() {
		select {
		case <-deadline:
			t.Fatalf("not within a minute: %s", what)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func pending(t testing.TB, s *redisdb.Store, stream, group string) int64 {
	t.Helper()
	return must[*redis.XPending](t)(s.Client().XPending(t.Context(), stream, group).Result()).Count
}

func TestPublishAndSubscribe(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, url string) {
		ns := brokertest.Namespace(t)
		brokertest.CleanRedis(t, url, ns)
		s := openIn(t, url, ns)
		sub := subscriber(t, s, router.Subscription{Topic: "user.events", Types: []string{"A", "C"}, Queue: "mails"})
		if err := sub.Ready(); events.CodeOf(err) != events.CodeUnavailable {
			t.Errorf("ready before it is subscribed: %v", err)
		}
		out := must[<-chan *message.Message](t)(sub.Subscribe(t.Context(), ""))
		sent := note(events.NewID(), "A", "ada")
		sent.Metadata.Set("über", "a=b&c:ö\n")
		if err := s.Publisher().Publish("user.events", sent, note("b", "B", "ada"), note("c", "C", "ada")); err != nil {
			t.Fatal(err)
		}
		got := next(t, out)
		if got.UUID != sent.UUID || !maps.Equal(got.Metadata, sent.Metadata) || string(got.Payload) != string(sent.Payload) {
			t.Errorf("got %+v; want %+v", got, sent)
		}
		got.Ack()
		if got := next(t, out); got.UUID != "c" {
			t.Errorf("got %s; want c", got.UUID)
		} else {
			got.Ack()
		}
		if err := s.QueuePublisher().Publish("mails", note("q", "B", "")); err != nil {
			t.Fatal(err)
		}
		if got := next(t, out); got.UUID != "q" {
			t.Errorf("got %s straight from the queue; want q", got.UUID)
		} else {
			got.Ack()
		}
		if err := sub.Ready(); err != nil {
			t.Error(err)
		}
		eventually(t, "everything is acknowledged", func() bool {
			return pending(t, s, ns+":user.events", "mails") == 0 && pending(t, s, ns+":mails", "mails") == 0
		})
	})
}

func TestCommandsNeedSomebodyWhoHandlesThem(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, url string) {
		s := open(t, url)
		p := s.Publisher()
		if err := p.Publish("user.commands", note("1", "CREATE_USER", "")); events.CodeOf(err) != events.CodeUnhandled {
			t.Errorf("with no handler: %v", err)
		}
		if err := p.Publish("user.events", note("1", "USER_CREATED", "")); err != nil {
			t.Errorf("an event that nobody wants: %v", err)
		}
		sub := subscriber(t, s, router.Subscription{Topic: "user.commands", Types: []string{"CREATE_USER"}, Queue: "create-user"})
		if err := sub.Declare(context.Background()); err != nil {
			t.Fatal(err)
		}
		if err := p.Publish("user.commands", note("1", "CREATE_USER", "")); err != nil {
			t.Errorf("with a handler: %v", err)
		}
		if err := p.Publish("user.commands", note("1", "DELETE_USER", "")); events.CodeOf(err) != events.CodeUnhandled {
			t.Errorf("with a handler of another type: %v", err)
		}
	})
}

// Entries that others wrote are understood, and what is no message at all is
// handed on as one that says so.
func TestForeignEntries(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, url string) {
		ns := brokertest.Namespace(t)
		brokertest.CleanRedis(t, url, ns)
		s, ctx, stream := openIn(t, url, ns), t.Context(), ns+":user.events"
		theirs := note("theirs", "A", "k")
		unwanted := note("unwanted", "B", "k")
		for _, values := range []map[string]any{
			must[map[string]any](t)(redisstream.DefaultMarshallerUnmarshaller{}.Marshal("", theirs)),
			must[map[string]any](t)(redisstream.DefaultMarshallerUnmarshaller{}.Marshal("", unwanted)),
			{"type": "A", "body": `{"n":1}`, "id": "flat", "tenant": "42"},
			{"body": `{"type":"A","n":2}`},
			{"body": `{"type":"B","n":2}`},
			{"type": "A", "foo": "bar"},
			{"type": "A", "body": "x", "meta": "no netstring"},
			{"_watermill_message_uuid": "broken", "metadata": "\xff\x02"},
		} {
			if err := s.Client().XAdd(ctx, &redis.XAddArgs{Stream: stream, Values: values}).Err(); err != nil {
				t.Fatal(err)
			}
		}
		sub := subscriber(t, s, router.Subscription{Topic: "user.events", Types: []string{"A"}, Queue: "q", Concurrency: 1, Key: func(*message.Message) string { return "" }})
		out := must[<-chan *message.Message](t)(sub.Subscribe(ctx, ""))
		take := func() *message.Message {
			t.Helper()
			msg := next(t, out)
			msg.Ack()
			return msg
		}
		if got := take(); got.UUID != "theirs" || !maps.Equal(got.Metadata, theirs.Metadata) {
			t.Errorf("watermill-redisstream's: %s %v", got.UUID, got.Metadata)
		}
		if got := take(); got.UUID != "flat" || got.Metadata.Get("tenant") != "42" || string(got.Payload) != `{"n":1}` {
			t.Errorf("a flat entry: %s %v %s", got.UUID, got.Metadata, got.Payload)
		}
		if got := take(); string(got.Payload) != `{"type":"A","n":2}` {
			t.Errorf("an entry that is only a body: %v %s", got.Metadata, got.Payload)
		}
		for _, want := range []string{
			`{"name":"type","value":"A"}`,
			`{"name":"meta","value":"no netstring"}`,
			`{"name":"metadata","value_base64":"/wI="}`, // \xff\x02
		} {
			got := take()
			if got.Metadata.Get(redisdb.MetaMalformed) == "" || !events.IsID(got.UUID) || !json.Valid(got.Payload) || !strings.Contains(string(got.Payload), want) {
				t.Errorf("a malformed entry: %s %v %s, want %s", got.UUID, got.Metadata, got.Payload, want)
			}
		}
		eventually(t, "everything is acknowledged", func() bool { return pending(t, s, stream, "q") == 0 })
	})
}

func TestMarshallerIsWatermillsSeam(t *testing.T) {
	t.Parallel()
	sent := note("id", "A", "k")
	got, err := redisdb.Marshaller{}.Unmarshal(must[map[string]any](t)(redisdb.Marshaller{}.Marshal("topic", sent)))
	if err != nil || !got.Equals(sent) {
		t.Errorf("got %+v, %v; want %+v", got, err, sent)
	}
	if _, err := (redisdb.Marshaller{}).Unmarshal(map[string]any{"x": "y"}); events.CodeOf(err) != events.CodeUndecodable {
		t.Errorf("no message: %v", err)
	}
}

func TestALostGroupIsMadeAgain(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, url string) {
		ns := brokertest.Namespace(t)
		brokertest.CleanRedis(t, url, ns)
		s, ctx := openIn(t, url, ns), t.Context()
		sub := subscriber(t, s, router.Subscription{Topic: "user.events", Queue: "q"})
		out := must[<-chan *message.Message](t)(sub.Subscribe(ctx, ""))
		for i, lose := range []func() error{
			func() error { return nil },
			func() error { return s.Client().XGroupDestroy(ctx, ns+":user.events", "q").Err() },
			func() error { return s.Client().Del(ctx, ns+":user.events", ns+":q").Err() },
		} {
			if err := lose(); err != nil {
				t.Fatal(err)
			}
			id := fmt.Sprint("after ", i)
			if err := s.Publisher().Publish("user.events", note(id, "A", "")); err != nil {
				t.Fatal(err)
			}
			// A group made again reads what is left of the stream from its beginning.
			for msg := next(t, out); ; msg = next(t, out) {
				msg.Ack()
				if msg.UUID == id {
					break
				}
			}
		}
	})
}

func TestTrimTakesOnlyWhatAllHaveDoneWith(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("streams are trimmed every ten seconds")
	}
	ns, url := brokertest.Namespace(t), brokertest.Redis(t)
	brokertest.CleanRedis(t, url, ns)
	s, ctx, stream := openIn(t, url, ns), t.Context(), ns+":user.events"
	behind := subscriber(t, s, router.Subscription{Topic: "user.events", Queue: "behind"})
	if err := behind.Declare(context.Background()); err != nil {
		t.Fatal(err)
	}
	var msgs []*message.Message
	for i := range 3000 {
		msgs = append(msgs, note(fmt.Sprint(i), "A", ""))
	}
	if err := s.Publisher().Publish("user.events", msgs...); err != nil {
		t.Fatal(err)
	}
	fast := subscriber(t, s, router.Subscription{Topic: "user.events", Queue: "fast"})
	out := must[<-chan *message.Message](t)(fast.Subscribe(ctx, ""))
	for range msgs {
		next(t, out).Ack()
	}
	// The other group reads half of it and settles that but for one.
	half := must[[]redis.XStream](t)(s.Client().XReadGroup(ctx, &redis.XReadGroupArgs{Group: "behind", Consumer: "c", Streams: []string{stream, ">"}, Count: 1500}).Result())
	kept := half[0].Messages[1200].ID
	for i, m := range half[0].Messages {
		if i != 1200 {
			s.Client().XAck(ctx, stream, "behind", m.ID)
		}
	}
	deadline := time.After(time.Minute)
	for must[int64](t)(s.Client().XLen(ctx, stream).Result()) == 3000 {
		select {
		case <-deadline:
			t.Fatal("nothing is trimmed")
		case <-time.After(50 * time.Millisecond):
		}
	}
	left := must[[]redis.XMessage](t)(s.Client().XRange(ctx, stream, "-", "+").Result())
	if len(left) < 1800 || left[0].ID > kept {
		t.Errorf("%d entries are left, from %s on; the one of %s is pending", len(left), left[0].ID, kept)
	}
}
