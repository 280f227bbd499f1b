package cli

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/programtest"
	"github.com/pitwheel/pitwheel/router"
	"github.com/pitwheel/pitwheel/router/routertest/sample"
)

// delays counts what is delayed by the broker.
type delays struct {
	router.Transport
	count atomic.Int64
}

func (d *delays) Delay(ctx context.Context, queue string, pause time.Duration, msgs ...*message.Message) error {
	d.count.Add(int64(len(msgs)))
	return d.Transport.Delay(ctx, queue, pause, msgs...)
}

// TestRetries_InMemoryAreBounded has 300 messages fail once, all within the half second for which
// each has to wait: few of them wait in memory, so that they do not fill the
// subscriber's prefetch, and the others wait at the broker.
func TestRetries_InMemoryAreBounded(t *testing.T) {
	t.Parallel()
	const failing = 300
	onBoth(t, func(t *testing.T, r *rig) {
		var failed sync.Map
		var handled atomic.Int64
		r.handler = router.On("h", func(_ context.Context, e router.Event[sample.Created]) error {
			if _, again := failed.LoadOrStore(e.ID, true); !again {
				return events.RetryAfter(500*time.Millisecond, errors.New("not yet"))
			}
			handled.Add(1)
			return nil
		}, router.Policy{Attempts: 2})
		d := &delays{Transport: r.transport}
		r.transport = d
		r.run()
		var all []*message.Message
		for range failing {
			all = append(all, created(events.NewID(), "ada"))
		}
		r.publishAll(all...)
		programtest.Eventually(t, "all to be handled", func() bool { return handled.Load() == failing })
		if n := d.count.Load(); n == 0 || n > failing-10 {
			t.Errorf("%d of %d waited at the broker", n, failing)
		}
	}, nil)
}
