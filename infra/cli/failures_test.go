package cli

import (
	"context"
	"errors"
	"os"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/programtest"
	"github.com/pitwheel/pitwheel/router"
	"github.com/pitwheel/pitwheel/router/routertest/sample"
)

// picky is a handler that fails for every user named bad until it is fixed.
type picky struct {
	fixed     atomic.Bool
	good, bad atomic.Int64
	enough    int64         // how many good ones are waited for
	reached   chan struct{} // closed when there were enough
	work      time.Duration // how long each attempt takes
	badUsers  map[string]bool
}

func (p *picky) handler() router.Handler {
	return router.On("h", func(_ context.Context, e router.Event[sample.Created]) error {
		if p.work > 0 {
			<-time.After(p.work)
		}
		if e.Data.Name == "bad" {
			if !p.fixed.Load() {
				return errors.New("a bad name")
			}
			p.bad.Add(1)
			return nil
		}
		if p.good.Add(1) == p.enough {
			close(p.reached)
		}
		return nil
	}, router.Policy{Attempts: 5, Backoff: 100 * time.Millisecond, MaxBackoff: 10 * time.Second})
}

// TestFailures_OneInAHundred has 100 of 10,000 messages fail until their handler is
// fixed: the others are handled meanwhile, and in the end all counts agree.
//
// How long the others take is logged. PITWHEEL_TEST_PAIRS=n has n pairs of runs
// before, one without failures and one with, to compare their speed, and
// PITWHEEL_TEST_WORK=5ms a handler that takes so long.
func TestFailures_OneInAHundred(t *testing.T) {
	t.Parallel()
	const all, failing = 10_000, 100
	pairs, _ := strconv.Atoi(os.Getenv("PITWHEEL_TEST_PAIRS"))
	work, _ := time.ParseDuration(os.Getenv("PITWHEEL_TEST_WORK"))
	onBoth(t, func(t *testing.T, r *rig) {
		// The queue stands before there are messages, which then all wait in it.
		fill := func(bad int) *picky {
			p := &picky{work: work, enough: all - failing, reached: make(chan struct{}), badUsers: map[string]bool{}}
			r.handler = p.handler()
			r.run()()
			msgs := make([]*message.Message, all)
			for i := range msgs {
				user, name := events.NewID(), "good"
				if i%(all/failing) == (all/failing)/2 && bad > 0 {
					name, p.badUsers[user] = "bad", true
				}
				msgs[i] = created(user, name)
			}
			r.publishAll(msgs...)
			return p
		}
		others := func(p *picky, what string) (stop func()) {
			began := time.Now()
			stop = r.run()
			select {
			case <-p.reached:
			case <-time.After(programtest.Patience):
				t.Fatalf("only %d of %d are handled", p.good.Load(), p.enough)
			}
			t.Logf("%s: %d were handled in %s", what, p.enough, time.Since(began))
			return stop
		}
		for range pairs {
			p := fill(0)
			stop := others(p, "without failures")
			programtest.Eventually(t, "the rest", func() bool { return p.good.Load() == all })
			stop()
			stop = others(fill(failing), "with failures")
			r.poisoned(failing)
			stop()
			pitwheel(t, r.environ, "poison", "discard", "--filter", "handler=h", "--reason", "the next pair", "-y").ok(t)
		}

		p := fill(failing)
		others(p, "with failures")
		for _, l := range r.poisoned(failing) {
			if !p.badUsers[l.Key] || l.Attempts != 5 || l.Handler != "h" {
				t.Errorf("a poison message is %+v", l)
			}
			delete(p.badUsers, l.Key)
		}
		count := func(handled, retried, poisoned, kept float64) {
			t.Helper()
			programtest.Eventually(t, "metrics that agree", func() bool {
				page := r.page()
				outcome := func(name string) float64 {
					return metric(page, "pitwheel_handler_messages_total", `handler_name="h"`, `outcome="`+name+`"`)
				}
				return outcome("handled") == handled && outcome("retried") == retried && outcome("poisoned") == poisoned &&
					metric(page, "pitwheel_poison_messages", `handler_name="h"`) == kept
			})
		}
		count(all-failing, 4*failing, failing, failing)

		p.fixed.Store(true)
		pitwheel(t, r.environ, "poison", "retry", "--filter", "handler=h", "-y").ok(t)
		programtest.Eventually(t, "the failed ones to be handled", func() bool { return p.bad.Load() == failing })
		count(all, 4*failing, failing, 0)
		if n := p.good.Load(); n != all-failing {
			t.Errorf("%d of the others were handled, not %d", n, all-failing)
		}
		if out := pitwheel(t, r.environ, "poison", "list", "-o", "json").ok(t).stdout; out != "[]\n" {
			t.Errorf("poison messages are left: %s", out)
		}
	}, nil)
}
