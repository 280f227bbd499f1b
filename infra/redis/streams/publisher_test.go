package streams_test

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"github.com/pitwheel/pitwheel/infra/redis/internal/redistest"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/go-cmp/cmp"
	goredis "github.com/redis/go-redis/v9"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/brokertest"
	"github.com/pitwheel/pitwheel/infra/redis"
	"github.com/pitwheel/pitwheel/router"
)

// However many and however large the messages of one Publish are, with or without a
// type, they are in the stream as they were given.
func TestPublisher_KeepsTheOrder(t *testing.T) {
	t.Parallel()
	redistest.OnEach(t, func(t *testing.T, url string) {
		s := redistest.Open(t, url)
		var msgs []*message.Message
		var want []string
		for n := range 1500 {
			msg := message.NewMessage(fmt.Sprint(n), []byte("{}"))
			if n%3 == 0 {
				msg.Metadata.Set(events.MetaType, "A")
			}
			if n%400 == 7 {
				msg.Payload = bytes.Repeat([]byte("x"), 1<<20)
			}
			msgs, want = append(msgs, msg), append(want, fmt.Sprintf("%d %s %d", n, msg.Metadata, len(msg.Payload)))
		}
		out := redistest.Must[<-chan *message.Message](t)(redistest.Subscriber(t, s, router.Subscription{
			Topic: "user.events", Queue: "q", Key: func(*message.Message) string { return "all" },
		}).Subscribe(t.Context(), ""))
		if err := s.Publisher().Publish("user.events", msgs...); err != nil {
			t.Fatal(err)
		}
		var got []string
		for range msgs {
			msg := redistest.Next(t, out)
			got = append(got, fmt.Sprintf("%s %s %d", msg.UUID, msg.Metadata, len(msg.Payload)))
			msg.Ack()
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	})
}

// Messages that Redis refuses at first and accepts when they are repeated are not added
// behind messages that were published after them.
func TestPublisher_KeepsTheOrderWhereRedisRefusesSome(t *testing.T) {
	t.Parallel()
	srv := brokertest.StartRedis(t)
	s, ctx := redistest.OpenWith(t, redis.Config{URL: srv.URL()}), t.Context()
	admin := goredis.NewClient(redistest.Must[*goredis.Options](t)(goredis.ParseURL(srv.URL())))
	defer func() { _ = admin.Close() }()
	p, stream := s.Publisher(), "user.events"
	if err := admin.XGroupCreateMkStream(ctx, stream, "q", "$").Err(); err != nil { // Somebody reads it.
		t.Fatal(err)
	}
	if err := p.Publish(stream, redistest.Message("0", "A", "k"), redistest.Message("1", "A", "k")); err != nil { // Redis knows the script now.
		t.Fatal(err)
	}
	// Of the next commands to the stream the first finds no memory, and no other does.
	refused := 0
	refuse := func(cmd goredis.Cmder) bool {
		args := cmd.Args()
		if refused > 0 || args[0] != "xadd" && (args[0] != "evalsha" || args[3] != stream) {
			return false
		}
		refused++
		if err := admin.ConfigSet(ctx, "maxmemory", "1").Err(); err != nil {
			t.Error(err)
		}
		return true
	}
	s.Client().AddHook(redistest.Hook{Swap: func(cmds []goredis.Cmder) []goredis.Cmder {
		if refuse(cmds[0]) {
			free := goredis.NewStatusCmd(ctx, "config", "set", "maxmemory", "0")
			return slices.Insert(slices.Clone(cmds), 1, goredis.Cmder(free))
		}
		return cmds
	}})
	if err := p.Publish(stream, redistest.Message("2", "A", "k"), redistest.Message("3", "A", "k"), redistest.Message("4", "A", "k")); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, entry := range redistest.Must[[]goredis.XMessage](t)(admin.XRange(ctx, stream, "-", "+").Result()) {
		got = append(got, entry.Values["body"].(string))
	}
	want := []string{`{"id":"0"}`, `{"id":"1"}`, `{"id":"2"}`, `{"id":"3"}`, `{"id":"4"}`}
	if diff := cmp.Diff(want, got); diff != "" || refused != 1 {
		t.Errorf("%d commands were refused: %s", refused, diff)
	}
}
