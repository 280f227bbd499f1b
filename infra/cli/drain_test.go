package cli

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"golang.org/x/sync/errgroup"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/brokertest"
	"github.com/pitwheel/pitwheel/infra/programtest"
	"github.com/pitwheel/pitwheel/router"
	"github.com/pitwheel/pitwheel/router/routertest/sample"
)

// TestDrain_SlowHandlers stops a router that is handling 100 messages, each of which
// takes 5 s more, while others wait: the former are handled before it has stopped, the
// latter by the next run, and none twice.
func TestDrain_SlowHandlers(t *testing.T) {
	if testing.Short() {
		t.Skip("the handler takes 5 s: run without -short")
	}
	t.Parallel()
	const running, waiting, work = 100, 50, 5 * time.Second
	onBoth(t, func(t *testing.T, r *rig) {
		var started, canceled, effects atomic.Int64
		finish := make(chan struct{}) // Until then none ends, however long the others take to begin.
		r.handler = router.On("h", func(ctx context.Context, _ router.Event[sample.Created]) error {
			started.Add(1)
			select {
			case <-finish:
				effects.Add(1)
				return nil
			case <-ctx.Done():
				canceled.Add(1)
				return ctx.Err()
			}
		}, router.Policy{Concurrency: running})
		stop := r.run()
		msgs := make([]*message.Message, running+waiting)
		for i := range msgs {
			msgs[i] = created(events.NewID(), "Ada")
		}
		r.publishAll(msgs...)
		programtest.Eventually(t, "100 messages being handled", func() bool { return started.Load() == running })
		time.AfterFunc(work, func() { close(finish) })
		stop()
		if s, e := started.Load(), effects.Load(); s != running || e != running {
			t.Errorf("the drain left %d messages begun and %d handled, not %d", s, e, running)
		}
		r.run()
		programtest.Eventually(t, "the effect of each", func() bool { return effects.Load() == int64(len(msgs)) })
		if s, g := started.Load(), canceled.Load(); s != int64(len(msgs)) || g != 0 {
			t.Errorf("%d handlers were called for %d messages, and %d were canceled", s, len(msgs), g)
		}
		programtest.Eventually(t, "as many handled by the metrics", func() bool {
			return metric(r.page(), "pitwheel_handler_messages_total", `outcome="handled"`) == waiting
		})
		if n := metric(r.page(), "pitwheel_handler_messages_total", `outcome="duplicate"`); n != 0 {
			t.Errorf("%v messages came again that were handled before the drain had ended", n)
		}
	}, nil)
}

// TestDrain_Service has SIGTERM come while 100 mails are on their way to a server
// that does not answer for 5 s: all of them are sent once, and the exit code is 0.
func TestDrain_Service(t *testing.T) {
	if testing.Short() {
		t.Skip("the mail server takes 5 s: run without -short")
	}
	t.Parallel()
	const running, all = 100, 150
	b := realBrokers(t)
	server := brokertest.NewProxy(t, b.mails.Addr())
	file := filepath.Join(t.TempDir(), "pitwheel.yaml")
	if err := os.WriteFile(file, fmt.Appendf(nil, "handlers:\n  send-welcome: {concurrency: %d}\n", running), 0o600); err != nil {
		t.Fatal(err)
	}
	b.environ = append(slices.Clone(b.environ), "PITWHEEL_SMTP_URL=smtp://"+server.Addr(), "PITWHEEL_CONFIG="+file)
	answer := server.Stall()
	p := b.launch(t)
	var group errgroup.Group
	group.SetLimit(20)
	for i := range all {
		group.Go(func() error {
			_, err := p.post(t.Context(), "CREATE_USER", fmt.Sprint("drain-", i), fmt.Sprintf(`{"email":"d%d@example.com","name":"D"}`, i))
			return err
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	programtest.Eventually(t, "100 mails on their way, and the rest in the queue", func() bool {
		_, page := p.get(t, "/metrics")
		return metric(page, "pitwheel_handler_in_flight", `handler_name="send-welcome"`) == running && metric(page, "pitwheel_relay_lag_events") == 0
	})
	p.Signal(t, syscall.SIGTERM)
	<-time.After(5 * time.Second) // So long it does not answer.
	answer()
	if code := p.Exit(t); code != exitOK {
		t.Errorf("the exit code is %d", code)
	}
	if n := b.mails.Count(); n != running {
		t.Errorf("%d mails were sent before the end, not %d", n, running)
	}
	p = b.launch(t)
	programtest.Eventually(t, "every mail", func() bool { return b.mails.Count() == all })
	programtest.Eventually(t, "an empty queue", func() bool { return b.depth(t, "notification-service") == 0 })
	if code := p.Stop(t); code != exitOK {
		t.Errorf("the exit code is %d", code)
	}
	to := map[string]bool{}
	for _, m := range b.mails.Messages() {
		to[m.To] = true
	}
	if n := b.mails.Count(); n != all || len(to) != all {
		t.Errorf("%d mails were sent to %d users, not %d", n, len(to), all)
	}
}
