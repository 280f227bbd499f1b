package streams

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/pitwheel/pitwheel/infra/redis/conn"
	"github.com/pitwheel/pitwheel/router/backoff"
)

const (
	beatEvery   = time.Second
	aliveTTL    = 4 * time.Second // after this without a heartbeat a consumer is suspected
	suspectFor  = 3 * time.Second // for so long, before its messages are reclaimed
	leftMarkTTL = time.Hour       // how long it is kept that a consumer has left

	trimEvery  = 10 * time.Second // streams are trimmed, or sooner,
	trimAfter  = 20_000           // after so many acknowledgements,
	trimAlways = time.Minute      // and without any: another group may have been the last
)

// leftMark is the value of the alive key of a consumer that has ended.
const leftMark = "left"

// heartbeat keeps the consumers of a subscription alive, finds those of other
// subscriptions that are not, and trims streams.
type heartbeat struct {
	sub     *consumer
	leading atomic.Bool // whether this instance alone may consume

	mu       sync.Mutex
	names    []string                // of our consumers: the reading one, then the reclaiming ones
	suspects map[[2]string]time.Time // stream and consumer → since when
	dead     map[string][]string     // stream → consumers whose messages are to be reclaimed

	stop context.CancelFunc
	done chan struct{}
}

func newHeartbeat(sub *consumer) *heartbeat {
	ctx, stop := context.WithCancel(context.Background())
	h := &heartbeat{sub: sub, suspects: map[[2]string]time.Time{}, dead: map[string][]string{}, stop: stop, done: make(chan struct{})}
	go h.run(ctx)
	return h
}

func (h *heartbeat) run(ctx context.Context) {
	defer close(h.done)
	tick := time.NewTicker(beatEvery)
	defer tick.Stop()
	trimmed, at := int64(0), time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := h.beat(ctx); err != nil {
			h.resetSuspicion()
			continue
		}
		acked := h.sub.acks.acked.Load()
		since := time.Since(at)
		if n := acked - trimmed; n >= trimAfter || n > 0 && since >= trimEvery || since >= trimAlways {
			trimmed, at = acked, time.Now()
			h.trim(ctx)
		}
	}
}

// begin starts a term: a new consumer is alive, and what others left is found before
// anything new is read.
func (h *heartbeat) begin(ctx context.Context, t *term) {
	h.mu.Lock()
	before := h.names
	h.names = []string{t.consumer}
	h.mu.Unlock()
	h.markLeft(before)
	if !h.sub.cfg.Ordered {
		_ = h.beat(ctx) // What is found later is reclaimed later. A failure shows in the next read.
		return
	}
	h.sub.retry(ctx, func() error { return h.beat(ctx) })
	// The former leader may have had a read under way when it lost the lease.
	for _, stream := range h.sub.streams {
		if len(h.deadConsumers(stream)) > 0 {
			backoff.Wait(ctx, maxBlock+maxBlock/5)
			return
		}
	}
}

// add adds a reclaiming consumer to those of this process.
func (h *heartbeat) add(name string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.names = append(slices.Clip(h.names), name)
}

// remove removes a consumer from those of this process.
func (h *heartbeat) remove(name string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.names = slices.DeleteFunc(slices.Clone(h.names), func(n string) bool { return n == name })
}

// markDead removes consumers of a stream that were given entries in a reply that was lost.
// They are reclaimed like those of others.
func (h *heartbeat) markDead(stream string, names []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.names = slices.DeleteFunc(slices.Clone(h.names), func(n string) bool { return slices.Contains(names, n) })
	h.dead[stream] = slices.Concat(h.dead[stream], names)
}

func (h *heartbeat) ours() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.names
}

// beat keeps our consumers alive, and looks for dead ones of others. A reclaiming consumer
// that has nothing left no longer belongs to this process, and is then removed like any other.
func (h *heartbeat) beat(ctx context.Context) error {
	ours := h.ours()
	if len(ours) == 0 {
		return nil // Standing by.
	}
	for _, name := range ours {
		if _, err := h.sub.conn.Do(ctx, "set", h.sub.transport.aliveKey(name), "", "px", aliveTTL.Milliseconds()); err != nil {
			return err
		}
	}
	for _, stream := range h.sub.streams {
		reply, err := h.sub.conn.Do(ctx, "xinfo", "consumers", stream, h.sub.cfg.Queue)
		if err != nil {
			return err
		}
		list, _ := reply.([]any)
		for _, entry := range list {
			fields, _ := entry.([]any)
			name, ok := conn.FieldText(fields, "name")
			if at := slices.Index(h.ours(), name); !ok || at == 0 {
				continue
			} else if at > 0 {
				if pending, _ := conn.Field(fields, "pending"); pending != int64(0) {
					continue
				}
				h.remove(name)
			}
			if err := h.check(ctx, stream, name); err != nil {
				return err
			}
		}
	}
	return nil
}

// check decides whether a consumer of another subscription is dead: it has left, had no
// heartbeat for long enough, or may not consume since we are the leader. One that was taken
// for dead and is alive after all keeps its messages.
func (h *heartbeat) check(ctx context.Context, stream, consumer string) error {
	mark, err := h.sub.conn.Do(ctx, "get", h.sub.transport.aliveKey(consumer))
	silent := errors.Is(err, redis.Nil)
	if err != nil && !silent {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if !silent && mark != leftMark && !h.leading.Load() {
		h.clear(stream, consumer)
		return nil
	}
	key := [2]string{stream, consumer}
	since, known := h.suspects[key]
	if !known {
		since = time.Now()
		h.suspects[key] = since
	}
	if !silent || h.leading.Load() || time.Since(since) >= suspectFor {
		if !slices.Contains(h.dead[stream], consumer) {
			h.dead[stream] = append(slices.Clip(h.dead[stream]), consumer)
		}
	}
	return nil
}

// resetSuspicion clears all suspects: while Redis was unreachable, no heartbeat could
// reach it. A leader does not rely on heartbeats, and must reclaim everything before it
// reads on.
func (h *heartbeat) resetSuspicion() {
	if h.leading.Load() {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	clear(h.suspects)
	clear(h.dead)
}

// deadConsumers returns the consumers of a stream whose messages are to be reclaimed.
func (h *heartbeat) deadConsumers(stream string) []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.dead[stream]
}

// removed notes that nothing of a consumer is left.
func (h *heartbeat) removed(stream, consumer string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.clear(stream, consumer)
}

// clear removes a consumer from the suspects and the dead. It is called with mu held.
func (h *heartbeat) clear(stream, consumer string) {
	delete(h.suspects, [2]string{stream, consumer})
	h.dead[stream] = slices.DeleteFunc(slices.Clone(h.dead[stream]), func(n string) bool { return n == consumer })
}

// trim removes what all queues have acknowledged. One call of the script removes a bounded
// part, as nothing else runs meanwhile. After a failure it is repeated later.
func (h *heartbeat) trim(ctx context.Context) {
	for _, stream := range h.sub.streams {
		for removed := any(int64(1)); ctx.Err() == nil && removed != int64(0); {
			var err error
			if removed, err = h.sub.conn.Run(ctx, h.sub.transport.scripts.trim, []string{stream}); err != nil {
				break
			}
		}
	}
}

// close ends the heartbeat and marks our consumers as left, so that others need not wait
// before they reclaim what is unfinished.
func (h *heartbeat) close() {
	h.stop()
	<-h.done
	h.markLeft(h.names)
}

func (h *heartbeat) markLeft(names []string) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	for _, name := range names {
		// If it fails, the consumer is found dead a little later.
		_, _ = h.sub.conn.Do(ctx, "set", h.sub.transport.aliveKey(name), leftMark, "px", leftMarkTTL.Milliseconds())
	}
}
