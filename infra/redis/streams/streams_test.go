package streams_test

import (
	"context"
	"encoding/json"
	"maps"
	"strings"
	"testing"

	"github.com/pitwheel/pitwheel/infra/redis/internal/redistest"
	"github.com/pitwheel/pitwheel/infra/redis/streams"

	"github.com/ThreeDotsLabs/watermill-redisstream/pkg/redisstream"
	"github.com/ThreeDotsLabs/watermill/message"
	goredis "github.com/redis/go-redis/v9"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router"
)

func TestTransport_PublishAndSubscribe(t *testing.T) {
	t.Parallel()
	redistest.OnEach(t, func(t *testing.T, url string) {
		ns := redistest.Namespace(t, url)
		s := redistest.OpenIn(t, url, ns)
		sub := redistest.Subscriber(t, s, router.Subscription{Topic: "user.events", Types: []string{"A", "C"}, Queue: "mails"})
		if err := sub.Ready(); events.CodeOf(err) != events.CodeUnavailable {
			t.Errorf("ready before it is subscribed: %v", err)
		}
		out := redistest.Must[<-chan *message.Message](t)(sub.Subscribe(t.Context(), ""))
		sent := redistest.Message(events.NewID(), "A", "ada")
		sent.Metadata.Set("über", "a=b&c:ö\n")
		if err := s.Publisher().Publish("user.events", sent, redistest.Message("b", "B", "ada"), redistest.Message("c", "C", "ada")); err != nil {
			t.Fatal(err)
		}
		got := redistest.Next(t, out)
		if got.UUID != sent.UUID || !maps.Equal(got.Metadata, sent.Metadata) || string(got.Payload) != string(sent.Payload) {
			t.Errorf("got %+v; want %+v", got, sent)
		}
		got.Ack()
		if got := redistest.Next(t, out); got.UUID != "c" {
			t.Errorf("got %s; want c", got.UUID)
		} else {
			got.Ack()
		}
		if err := s.QueuePublisher().Publish("mails", redistest.Message("q", "B", "")); err != nil {
			t.Fatal(err)
		}
		if got := redistest.Next(t, out); got.UUID != "q" {
			t.Errorf("got %s straight from the queue; want q", got.UUID)
		} else {
			got.Ack()
		}
		if err := sub.Ready(); err != nil {
			t.Error(err)
		}
		redistest.Eventually(t, "everything is acknowledged", func() bool {
			return redistest.Pending(t, s, ns+":user.events", "mails") == 0 && redistest.Pending(t, s, ns+":mails", "mails") == 0
		})
	})
}

func TestPublisher_UnhandledCommands(t *testing.T) {
	t.Parallel()
	redistest.OnEach(t, func(t *testing.T, url string) {
		s := redistest.Open(t, url)
		p := s.Publisher()
		if err := p.Publish("user.commands", redistest.Message("1", "CREATE_USER", "")); events.CodeOf(err) != events.CodeUnhandled {
			t.Errorf("with no handler: %v", err)
		}
		if err := p.Publish("user.events", redistest.Message("1", "USER_CREATED", "")); err != nil {
			t.Errorf("an event that no queue is bound to: %v", err)
		}
		sub := redistest.Subscriber(t, s, router.Subscription{Topic: "user.commands", Types: []string{"CREATE_USER"}, Queue: "create-user"})
		if err := sub.Declare(context.Background()); err != nil {
			t.Fatal(err)
		}
		if err := p.Publish("user.commands", redistest.Message("1", "CREATE_USER", "")); err != nil {
			t.Errorf("with a handler: %v", err)
		}
		if err := p.Publish("user.commands", redistest.Message("1", "DELETE_USER", "")); events.CodeOf(err) != events.CodeUnhandled {
			t.Errorf("with a handler of another type: %v", err)
		}
	})
}

// Entries of foreign producers are understood, and those that are not messages are
// delivered as messages that say so.
func TestSubscriber_ForeignEntries(t *testing.T) {
	t.Parallel()
	redistest.OnEach(t, func(t *testing.T, url string) {
		ns := redistest.Namespace(t, url)
		s, ctx, stream := redistest.OpenIn(t, url, ns), t.Context(), ns+":user.events"
		theirs := redistest.Message("theirs", "A", "k")
		unwanted := redistest.Message("unwanted", "B", "k")
		sub := redistest.Subscriber(t, s, router.Subscription{Topic: "user.events", Types: []string{"A"}, Queue: "q", Concurrency: 1, Key: func(*message.Message) string { return "" }})
		if err := sub.Declare(ctx); err != nil {
			t.Fatal(err)
		}
		for _, values := range []map[string]any{
			redistest.Must[map[string]any](t)(redisstream.DefaultMarshallerUnmarshaller{}.Marshal("", theirs)),
			redistest.Must[map[string]any](t)(redisstream.DefaultMarshallerUnmarshaller{}.Marshal("", unwanted)),
			{"type": "A", "body": `{"n":1}`, "id": "flat", "tenant": "42"},
			{"body": `{"type":"A","n":2}`},
			{"body": `{"type":"B","n":2}`},
			{"type": "A", "foo": "bar"},
			{"type": "A", "body": "x", "meta": "not a netstring"},
			{"_watermill_message_uuid": "broken", "metadata": "\xff\x02"},
		} {
			if err := s.Client().XAdd(ctx, &goredis.XAddArgs{Stream: stream, Values: values}).Err(); err != nil {
				t.Fatal(err)
			}
		}
		out := redistest.Must[<-chan *message.Message](t)(sub.Subscribe(ctx, ""))
		take := func() *message.Message {
			t.Helper()
			msg := redistest.Next(t, out)
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
			`{"name":"meta","value":"not a netstring"}`,
			`{"name":"metadata","value_base64":"/wI="}`, // \xff\x02
		} {
			got := take()
			if got.Metadata.Get(streams.MetaMalformed) == "" || !events.IsID(got.UUID) || !json.Valid(got.Payload) || !strings.Contains(string(got.Payload), want) {
				t.Errorf("a malformed entry: %s %v %s, want %s", got.UUID, got.Metadata, got.Payload, want)
			}
		}
		redistest.Eventually(t, "everything is acknowledged", func() bool { return redistest.Pending(t, s, stream, "q") == 0 })
	})
}

func TestMarshaller_RoundTrip(t *testing.T) {
	t.Parallel()
	sent := redistest.Message("id", "A", "k")
	got, err := streams.Marshaller{}.Unmarshal(redistest.Must[map[string]any](t)(streams.Marshaller{}.Marshal("topic", sent)))
	if err != nil || !got.Equals(sent) {
		t.Errorf("got %+v, %v; want %+v", got, err, sent)
	}
	if _, err := (streams.Marshaller{}).Unmarshal(map[string]any{"x": "y"}); events.CodeOf(err) != events.CodeUndecodable {
		t.Errorf("not a message: %v", err)
	}
}
