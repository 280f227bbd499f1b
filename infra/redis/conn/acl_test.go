package conn_test

import (
	"context"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/brokertest"
	"github.com/pitwheel/pitwheel/infra/redis"
	"github.com/pitwheel/pitwheel/infra/redis/internal/redistest"
)

// allow sets what the user "app" may do, and returns the URL with which it connects.
func allow(t *testing.T, ctl *goredis.Client, srv *brokertest.RedisServer, rules ...any) string {
	t.Helper()
	if err := ctl.Do(t.Context(), append([]any{"acl", "setuser", "app", "reset", "on", ">secret", "&*"}, rules...)...).Err(); err != nil {
		t.Fatal(err)
	}
	return "redis://app:secret@" + srv.Addr()
}

// wantRight checks that an error names a right that is missing, and the rule to add.
func wantRight(t *testing.T, err error, text, rule string) {
	t.Helper()
	redistest.WantField(t, err, "URL")
	e, _ := err.(*events.Error) //nolint:errorlint // WantField has seen to it.
	if e == nil || !strings.Contains(e.Message, text) || !strings.Contains(e.Hint, rule) || strings.Contains(e.Message+e.Hint, "secret") {
		t.Errorf("got %#v; want %q and the rule %q", e, text, rule)
	}
}

// A user who lacks a right stops the start at once, and the error names the right.
func TestOpen_LacksRights(t *testing.T) {
	t.Parallel()
	srv := brokertest.StartRedis(t)
	ctl := admin(t, srv)
	for name, c := range map[string]struct {
		rules      []any
		text, rule string
	}{
		"scripting":       {[]any{"~*", "+@all", "-@scripting"}, "'evalsha' command", "+@scripting"},
		"keys":            {[]any{"~other:*", "+@all"}, "access one of the keys", "~ns:*"},
		"script commands": {[]any{"~*", "+@all", "-hsetnx"}, "executing the script can't run this command", "~ns:* +@all -@dangerous"},
		"ping":            {[]any{"~*", "+@all", "-ping"}, "'ping' command", "+ping"},
	} {
		t.Run(name, func(t *testing.T) {
			url := allow(t, ctl, srv, c.rules...)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			_, err := redis.Open(ctx, redis.Config{URL: url, Namespace: "ns"})
			wantRight(t, err, c.text, c.rule)
		})
	}
	// What is proposed is enough.
	redistest.OpenWith(t, redis.Config{URL: allow(t, ctl, srv, "~ns:*", "+@all", "-@dangerous"), Namespace: "ns"})
}

func TestConn_LosesRights(t *testing.T) {
	t.Parallel()
	srv := brokertest.StartRedis(t)
	ctl := admin(t, srv)
	s := redistest.OpenWith(t, redis.Config{URL: allow(t, ctl, srv, "~ns:*", "+@all"), Namespace: "ns"})
	for _, c := range []struct {
		rules      []any
		text, rule string
	}{
		{[]any{"~ns:*", "+@all", "-@scripting"}, "'evalsha' command", "+@scripting"},
		{[]any{"~ns:*", "+@all", "-xadd"}, "executing the script can't run this command", "+@all -@dangerous"},
		{[]any{"~other:*", "+@all"}, "access one of the keys used as arguments (the keys are [ns:{p", "~ns:*"},
	} {
		allow(t, ctl, srv, c.rules...)
		_, err := s.Append(t.Context(), redistest.Decision("u", events.NewID(), 0, 1))
		wantRight(t, err, c.text, c.rule)
	}
	allow(t, ctl, srv, "~ns:*", "+@all")
	if _, err := s.Append(t.Context(), redistest.Decision("u", events.NewID(), 0, 1)); err != nil {
		t.Errorf("with all rights: %v", err)
	}
}
