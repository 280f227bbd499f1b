package audit_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Whatever is lost between the relay and the handlers is delivered again, once; what is not
// lost is never delivered again; and in the end the books balance.
func TestAuditor_Property(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var ops []string
		for range rapid.IntRange(1, 40).Draw(rt, "n") {
			ops = append(ops, rapid.SampledFrom([]string{"append", "append", "other", "relay", "relay", "relay lost", "work", "work", "delay", "poison", "hold", "purge", "purge poison", "delete", "crash", "wait"}).Draw(rt, "op"))
		}
		instances := rapid.IntRange(1, 3).Draw(rt, "instances")
		failed := ""
		synctest.Test(t, func(*testing.T) {
			w := newWorld(func(format string, args ...any) { failed = fmt.Sprintf(format, args...) }, instances)
			w.run(func(context.Context) { w.play(ops) })
			if failed == "" {
				if err := w.balanced(); err != nil {
					failed = err.Error()
				}
			}
		})
		if failed != "" {
			rt.Fatalf("%s\nafter %q", failed, ops)
		}
	})
}

// play carries out operations, and then lets everything that is left be done.
func (w *world) play(ops []string) {
	always := func(how string) func(int) string { return func(int) string { return how } }
	for n, op := range ops {
		i := w.instances[n%len(w.instances)]
		switch op {
		case "append", "other":
			w.append(op == "append")
		case "relay", "relay lost":
			w.relay(op == "relay lost")
		case "work":
			w.step(always("handle"))
		case "delay", "poison":
			w.receive(i)
			w.finish(i, 0, op)
		case "hold":
			w.receive(i)
		case "purge", "delete":
			w.mu.Lock()
			w.queue, w.exists = nil, op == "purge"
			w.mu.Unlock()
		case "purge poison":
			w.mu.Lock()
			clear(w.poison)
			w.mu.Unlock()
		case "crash":
			w.crash(i)
		case "wait":
			for range 12 { // Nothing is handled meanwhile.
				for _, i := range w.instances {
					w.receive(i)
					w.attend(i)
				}
				pass(time.Second)
			}
		}
		synctest.Wait()
	}
	for range ops {
		w.relay(false)
	}
	for range 300 { // Poison messages are verified once a minute.
		w.step(always("handle"))
	}
}
