package cli

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/brokertest"
	"github.com/pitwheel/pitwheel/infra/programtest"
	"github.com/pitwheel/pitwheel/infra/redis"
)

// TestHandlerRename_Ledger renames a reaction that has handled 50 events and owes 50 more, 10
// of which the new one has handled already: the books of the new one have all of them, and each
// is handled once.
func TestHandlerRename_Ledger(t *testing.T) {
	t.Parallel()
	onBothBrokers(t, func(t *testing.T, b *brokers) {
		if b.amqpURL != "" {
			brokertest.CleanAMQP(t, b.amqpURL, []string{b.named("greet"), b.named("welcome")}, nil)
		}
		b.environ = append(b.environ[:3:3], b.environ[4:]...) // Without mail.
		former, fresh := &greeter{name: "greet", creates: true}, &greeter{name: "welcome", creates: true}
		serve := func(g *greeter, args ...string) *running {
			r := startApp(t, g.application(), b.environ, append([]string{"serve"}, args...)...)
			r.http = r.errs.Await(t, `"every handler is consuming".*"http":"([^"]+)"`)[1]
			return r
		}
		end := func(r *running) {
			t.Helper()
			if code := r.end(t); code != exitOK {
				t.Fatalf("the exit code is %d", code)
			}
		}
		books := func(g *greeter, code int) (v events.LedgerReport) {
			t.Helper()
			res := g.call(t, b.environ, "ledger", "--handler", g.name, "-o", "json").exits(t, code)
			var views []events.LedgerReport
			if err := json.Unmarshal([]byte(res.stdout), &views); err != nil || len(views) != 1 {
				t.Fatalf("%v: %s", err, res.stdout)
			}
			return views[0]
		}
		handled := func(g *greeter, n uint64) {
			t.Helper()
			programtest.Eventually(t, fmt.Sprint(n, " events handled by ", g.name), func() bool { return books(g, exitOK).Handled == n })
		}
		register := func(r *running, from, n int) {
			t.Helper()
			for i := from; i < from+n; i++ {
				if _, err := r.post(t.Context(), "CREATE_USER", fmt.Sprint("user-", i), fmt.Sprintf(`{"email":"u@example.com","name":"u%d"}`, i)); err != nil {
					t.Fatal(err)
				}
			}
		}

		r := serve(former)
		register(r, 0, 50)
		handled(former, 50)
		end(r)
		r = serve(former, "--only", "create-user")
		register(r, 50, 40)
		programtest.Eventually(t, "40 that wait", func() bool { v := books(former, exitOK); return v.Waiting == 40 && v.Handled == 50 })
		end(r)
		r = serve(fresh)
		register(r, 90, 10)
		handled(fresh, 10)

		res := fresh.call(t, b.environ, "handler", "rename", "greet", "welcome", "-y")
		if res.code != exitConflict { // A minute has not passed.
			t.Errorf("the exit code is %d", res.code)
		}
		store, err := redis.Open(t.Context(), redis.Config{URL: brokertest.Redis(t), Namespace: b.namespace})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = store.Close() })
		age(t, store, b.namespace, "greet")
		fresh.call(t, b.environ, "handler", "rename", "greet", "welcome", "-y").ok(t)
		handled(fresh, 100)
		v := books(fresh, exitOK)
		if v.Events != 100 || v.Waiting != 0 {
			t.Errorf("the books are %+v", v)
		}
		programtest.Eventually(t, "the report of the auditor", func() bool {
			reports, err := store.LedgerReports(t.Context())
			_, left := reports["greet"]
			return err == nil && !left && reports["welcome"].Events == 100 && reports["welcome"].Handled == 100
		})
		all := map[string]int{}
		for _, g := range []*greeter{former, fresh} {
			g.mu.Lock()
			for name, n := range g.greeted {
				all[name] += n
			}
			g.mu.Unlock()
		}
		for i := range 100 {
			if n := all[fmt.Sprint("u", i)]; n != 1 {
				t.Errorf("u%d was greeted %d times", i, n)
			}
		}
		if state, err := store.LedgerState(t.Context(), "greet"); err != nil || len(state.Terms) != 0 {
			t.Errorf("%v: the former ledger is %+v", err, state)
		}
	})
}
