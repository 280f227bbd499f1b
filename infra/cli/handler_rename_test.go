package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/app"
	"github.com/pitwheel/pitwheel/infra/brokertest"
	"github.com/pitwheel/pitwheel/infra/programtest"
	"github.com/pitwheel/pitwheel/infra/rabbitmq"
	"github.com/pitwheel/pitwheel/infra/redis"
	"github.com/pitwheel/pitwheel/router"
	"github.com/pitwheel/pitwheel/router/poison"
	"github.com/pitwheel/pitwheel/router/routertest/sample"
)

// greeter is an application whose reaction has the given name: it fails for everybody named
// bad, until it is mended.
type greeter struct {
	name    string
	mended  bool
	creates bool // it handles CREATE_USER, too

	mu      sync.Mutex
	greeted map[string]int // by the name of the user
}

func (g *greeter) application() app.Application {
	return app.Application{
		Name: "pitwheel", Domains: []events.Domain{sample.Register},
		Handlers: func(app.Services) []router.Handler {
			handlers := []router.Handler{router.On(g.name, func(_ context.Context, e router.Event[sample.Created]) error {
				if e.Data.Name == "bad" && !g.mended {
					return events.Permanent(errors.New("bad"))
				}
				g.mu.Lock()
				defer g.mu.Unlock()
				if g.greeted == nil {
					g.greeted = map[string]int{}
				}
				g.greeted[e.Data.Name]++
				return nil
			}, router.Policy{Ordered: true})}
			if g.creates {
				handlers = append(handlers, sample.Handlers(nil)[0])
			}
			return handlers
		},
	}
}

func (g *greeter) has(names ...string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return !slices.ContainsFunc(names, func(n string) bool { return g.greeted[n] == 0 })
}

// call runs a command of the application.
func (g *greeter) call(t *testing.T, environ []string, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), programtest.Patience)
	defer cancel()
	var out, errs bytes.Buffer
	code := run(ctx, g.application(), args, environ, strings.NewReader(""), &out, &errs)
	return result{code, out.String(), errs.String()}
}

// age makes the record of a handler two minutes older, as if nobody had declared it since.
func age(t *testing.T, store *redis.Store, ns, handler string) {
	t.Helper()
	key := strings.TrimPrefix(ns+":topology", ":")
	fields, err := store.Client().HGetAll(t.Context(), key).Result()
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range fields {
		ms, err := strconv.ParseInt(value, 10, 64)
		if err != nil || !strings.HasPrefix(name, handler+"\x1f") {
			continue
		}
		if err := store.Client().HSet(t.Context(), key, name, ms-(2*time.Minute).Milliseconds()).Err(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestHandlerRename_MovesEverything renames a reaction that has messages in its queue, a
// poison message, and one parked behind it: after the command, the handler of the new name
// has all of them, and nothing is left behind.
func TestHandlerRename_MovesEverything(t *testing.T) {
	t.Parallel()
	for _, transport := range []string{"RabbitMQ", "Redis Streams"} {
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			redisURL, amqpURL := brokertest.Redis(t), ""
			if transport == "RabbitMQ" {
				amqpURL = brokertest.AMQP(t)
			}
			b := brokersAt(t, amqpURL, redisURL)
			b.environ = slices.DeleteFunc(slices.Clone(b.environ), func(s string) bool { return strings.HasPrefix(s, "PITWHEEL_SMTP") })
			brokertest.CleanRedis(t, redisURL, b.namespace)
			store, err := redis.Open(t.Context(), redis.Config{URL: redisURL, Namespace: b.namespace})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = store.Close() })
			r := &rig{t: t, transport: store}
			if amqpURL != "" {
				brokertest.CleanAMQP(t, amqpURL, []string{b.named("greet"), b.named("welcome")}, []string{b.named("user.events")})
				broker, err := rabbitmq.Open(rabbitmq.Config{URL: amqpURL, Namespace: b.namespace})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = broker.Close() })
				r.transport = broker
			}
			serve := func(g *greeter) *running {
				p := startApp(t, g.application(), b.environ, "serve")
				p.http = p.errs.Await(t, `"every handler is consuming".*"http":"([^"]+)"`)[1]
				return p
			}

			former, mended := &greeter{name: "greet"}, &greeter{name: "welcome", mended: true}
			p := serve(former)
			user := events.NewID()
			r.publish(user, "bad", "behind")
			programtest.Eventually(t, "a message parked behind a poison message", func() bool {
				_, parked, err := store.CountParked(t.Context(), "greet")
				counts, err2 := store.CountPoison(t.Context())
				return err == nil && err2 == nil && parked == 1 && counts["greet"] == 1
			})
			former.call(t, b.environ, "handler", "rename", "greet", "greet").exits(t, exitConflict)
			p.stop()
			if code := p.end(t); code != exitOK {
				t.Fatalf("the exit code is %d", code)
			}
			waiting := []string{"w1", "w2", "w3", "w4", "w5"}
			for _, name := range waiting {
				r.publish(events.NewID(), name)
			}

			// The new build does not take it for left behind as long as the former one may run.
			res := mended.call(t, b.environ, "handler", "list").ok(t)
			if strings.Contains(res.stdout, "LEFT BEHIND") {
				t.Errorf("it is left behind already:\n%s", res.stdout)
			}
			res = mended.call(t, b.environ, "handler", "rename", "greet", "welcome", "-y").exits(t, exitConflict)
			has(t, res.stderr, "a running instance has declared the handler greet")
			age(t, store, b.namespace, "greet")
			res = mended.call(t, b.environ, "handler", "list").ok(t)
			matches(t, res.stdout, `(?m)^greet +LEFT BEHIND \(5 messages\) +reaction +USER_CREATED +greet\b`)
			res = mended.call(t, b.environ, "handler", "list", "-o", "json").ok(t)
			var list []handlerView
			if err := json.Unmarshal([]byte(res.stdout), &list); err != nil || len(list) != 2 || list[0].LeftBehind || !list[1].LeftBehind || list[1].Messages != 5 {
				t.Errorf("%v: the list is %s", err, res.stdout)
			}
			res = mended.call(t, b.environ, "handler", "remove", "greet", "-y").exits(t, exitConflict)
			has(t, res.stderr, "greet has left 5 messages, 1 poison messages and 1 parked ones behind")
			mended.call(t, b.environ, "handler", "rename", "greet", "nobody", "-y").exits(t, exitNotFound)
			res = mended.call(t, b.environ, "handler", "rename", "greet", "welcome", "-y").exits(t, exitUnreachable)
			has(t, res.stderr, "the queue welcome does not exist yet")

			p = serve(mended)
			programtest.Eventually(t, "a metric of what is left behind", func() bool {
				_, page := p.get(t, "/metrics")
				return metric(page, "pitwheel_orphaned_messages", `queue="greet"`) == 5
			})
			p.errs.Await(t, `"level":"WARN","msg":"a handler that nobody declares any more has left its messages behind[^}]*"handler":"greet"`)
			mended.call(t, b.environ, "handler", "rename", "greet", "welcome").exits(t, exitUsage) // It has to ask.
			res = mended.call(t, b.environ, "handler", "rename", "greet", "welcome", "-y", "-o", "json").ok(t)
			if want := `{"from":"greet","to":"welcome","messages":5,"poison":1,"parked":1}`; strings.Join(strings.Fields(res.stdout), "") != want {
				t.Errorf("moved %s, not %s", res.stdout, want)
			}
			programtest.Eventually(t, "all that has waited", func() bool { return mended.has(waiting...) })
			counts, err := store.CountPoison(t.Context())
			if err != nil || counts["greet"] != 0 || counts["welcome"] != 1 && transport == "RabbitMQ" {
				t.Errorf("%v: the poison messages are %v", err, counts)
			}
			mended.call(t, b.environ, "poison", "retry", "--all", "-y", "--wait").ok(t)
			programtest.Eventually(t, "the poison message, and what was behind it", func() bool { return mended.has("bad", "behind") })
			programtest.Eventually(t, "nothing parked", func() bool {
				keys, parked, err := store.CountParked(t.Context(), "welcome")
				return err == nil && keys == 0 && parked == 0
			})

			if has, err := r.transport.HasQueue(t.Context(), "greet"); has || err != nil {
				t.Errorf("the former queue exists: %v, %v", has, err)
			}
			res = mended.call(t, b.environ, "handler", "list").ok(t)
			if strings.Contains(res.stdout, "LEFT BEHIND") {
				t.Errorf("it is left behind:\n%s", res.stdout)
			}
			mended.call(t, b.environ, "handler", "rename", "greet", "welcome", "-y").exits(t, exitNotFound)
			mended.call(t, b.environ, "handler", "remove", "greet", "-y").exits(t, exitNotFound)
			mended.mu.Lock()
			defer mended.mu.Unlock()
			for name, n := range mended.greeted {
				if n != 1 {
					t.Errorf("%s was greeted %d times", name, n)
				}
			}
		})
	}
}

// A handler that is renamed may keep its queue: what waits there is not touched, and its
// poison messages are those of the new name.
func TestHandlerRename_SameQueue(t *testing.T) {
	t.Parallel()
	b := newTestStore(t)
	const queue = "notification-service" // That of send-welcome.
	for _, name := range []string{"greet", "salute"} {
		h := router.DeclaredHandler{
			Application: "pitwheel", Name: name, Kind: router.KindReaction, Queue: queue,
			Bindings: []router.Binding{{Topic: "user.events", Type: "USER_CREATED"}},
		}
		if err := b.store.DeclareHandlers(t.Context(), h); err != nil {
			t.Fatal(err)
		}
		age(t, b.store, "", name)
	}
	sub, err := b.store.Subscriber(router.Subscription{Queue: queue, Topic: "user.events", Types: []string{"USER_CREATED"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := sub.Declare(t.Context()); err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, transport: b.store}
	r.publish(events.NewID(), "waits")
	b.fill(2, func(_ int, m *poison.Message) { m.Handler = "greet" })
	b.fill(1, func(_ int, m *poison.Message) { m.Handler = "salute" })

	res := pitwheel(t, b.environ, "handler", "rename", "greet", "send-welcome", "-y", "-o", "json").ok(t)
	has(t, res.stdout, `"messages":0,"poison":2,"parked":0`)
	res = pitwheel(t, b.environ, "handler", "remove", "salute", "--force", "--reason", "test", "-y", "-o", "json").ok(t)
	has(t, res.stdout, `"messages":0,"poison":1,"parked":0`)
	counts, err := b.store.CountPoison(t.Context())
	if err != nil || counts["send-welcome"] != 2 || counts["greet"]+counts["salute"] != 0 {
		t.Errorf("%v: the poison messages are %v", err, counts)
	}
	if n, err := b.store.CountQueue(t.Context(), router.Subscription{Queue: queue, Topic: "user.events", Types: []string{"USER_CREATED"}}); n != 1 || err != nil {
		t.Errorf("%d messages wait in the queue, not 1: %v", n, err)
	}
}

// greetQueue declares the handler greet, which no build has, with messages in its queue.
func greetQueue(t *testing.T, b *testStore, n int) router.DeclaredHandler {
	t.Helper()
	h := router.DeclaredHandler{
		Application: "pitwheel", Name: "greet", Kind: router.KindReaction, Queue: "greet", Consumed: true,
		Bindings: []router.Binding{{Topic: "user.events", Type: "USER_CREATED"}},
	}
	if err := b.store.DeclareHandlers(t.Context(), h); err != nil {
		t.Fatal(err)
	}
	sub, err := b.store.Subscriber(h.Subscription())
	if err != nil {
		t.Fatal(err)
	}
	if err := sub.Declare(t.Context()); err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, transport: b.store}
	for range n {
		r.publish(events.NewID(), "x")
	}
	return h
}

// TestHandlerRemove removes a queue that has messages only with --force, and says how many
// were lost.
func TestHandlerRemove(t *testing.T) {
	t.Parallel()
	b := newTestStore(t)
	greetQueue(t, b, 3)
	b.fill(2, func(_ int, m *poison.Message) { m.Handler, m.Queue = "greet", "greet" })
	b.fill(1, nil)
	if _, err := b.store.BeginLedger(t.Context(), "greet", events.LedgerTerm{Types: []string{"USER_CREATED"}}); err != nil {
		t.Fatal(err)
	}
	remove := func(args ...string) result {
		t.Helper()
		return pitwheel(t, b.environ, append([]string{"handler", "remove"}, args...)...)
	}
	has(t, remove("send-welcome", "-y").exits(t, exitConflict).stderr, "send-welcome is declared in this build")
	has(t, remove("greet", "-y").exits(t, exitConflict).stderr, "a running instance has declared the handler greet")
	age(t, b.store, "", "greet")
	remove("greet", "--force", "-y").exits(t, exitUsage) // Without a reason.
	remove("greet", "--force", "--reason", "test").exits(t, exitUsage)
	has(t, remove("greet", "-y").exits(t, exitConflict).stderr, "3 messages, 2 poison messages and 0 parked ones")
	res := remove("greet", "--force", "--reason", "test", "-y", "-o", "json").ok(t)
	if want := `{"name":"greet","messages":3,"poison":2,"parked":0}`; strings.Join(strings.Fields(res.stdout), "") != want {
		t.Errorf("removed %s, not %s", res.stdout, want)
	}
	if n := b.count(); n != 1 {
		t.Errorf("%d poison messages are left, not that of another handler", n)
	}
	if has, err := b.store.HasQueue(t.Context(), "greet"); has || err != nil {
		t.Errorf("the queue exists: %v, %v", has, err)
	}
	if state, err := b.store.LedgerState(t.Context(), "greet"); err != nil || len(state.Terms) != 0 {
		t.Errorf("%v: its ledger is %+v", err, state)
	}
	groups, err := b.store.Client().XInfoGroups(t.Context(), "user.events").Result()
	if err != nil || len(groups) != 0 {
		t.Errorf("%v: the topic has the groups %v, and is not trimmed", err, groups)
	}
	recorded, err := b.store.DeclaredHandlers(t.Context())
	if err != nil || len(recorded) != 0 {
		t.Errorf("%v: recorded is %v", err, recorded)
	}
}

// A retry into a queue without consumers says so, and does not pretend that all is done.
func TestPoisonRetry_NobodyConsumes(t *testing.T) {
	t.Parallel()
	b := newTestStore(t)
	h := greetQueue(t, b, 0)
	retry := func(wantCode int) string {
		t.Helper()
		b.fill(5, func(_ int, m *poison.Message) { m.Handler, m.Queue = "greet", "greet" })
		return b.poison("retry", "--handler", "greet", "-y").exits(t, wantCode).stderr
	}
	retry(exitOK) // It is consumed.
	age(t, b.store, "", "greet")
	has(t, retry(exitPartly), "5 published to queue greet, which nobody consumes: the handler greet is not running")
	if err := b.store.ForgetHandler(t.Context(), h, "welcome"); err != nil {
		t.Fatal(err)
	}
	has(t, retry(exitPartly), "5 published to queue greet, which nobody consumes: the handler greet was renamed to welcome")
	h.Consumed = false
	if err := b.store.DeclareHandlers(t.Context(), h); err != nil {
		t.Fatal(err)
	}
	has(t, retry(exitOK), "5 published to queue greet, which nobody consumes: the handler greet is paused, or no running instance has it among its own")
}

// A rebuild does not pass over events in silence that no type of the build fits.
func TestProjectionRebuild_UnknownTypes(t *testing.T) {
	t.Parallel()
	b := newTestStore(t)
	at := time.Date(2026, 1, 24, 10, 0, 0, 0, time.UTC)
	for i, kind := range []string{"USER_CREATED", "USER_REGISTERED", "USER_EMAIL_CHANGED", "USER_REGISTERED", "USER_MOVED"} {
		if _, err := b.store.Append(t.Context(), oneEvent("u"+strconv.Itoa(i), kind, events.NewID(), 0, at)); err != nil {
			t.Fatal(err)
		}
	}
	res := pitwheel(t, b.environ, "projection", "rebuild", "user-directory", "-o", "json").exits(t, exitPartly)
	has(t, res.stdout, `"events":5,"unknown":{"USER_MOVED":1,"USER_REGISTERED":2}`)
	has(t, res.stderr, `"code":"PARTLY_DONE"`, "user-directory has skipped them: USER_MOVED (1 events), USER_REGISTERED (2 events)")
}
