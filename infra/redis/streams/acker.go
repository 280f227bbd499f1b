package streams

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pitwheel/pitwheel/router/backoff"
)

const (
	maxAcks  = 256
	ackDelay = 2 * time.Millisecond // the longest that a single acknowledgement waits for others
)

// acker gathers acknowledgements and sends them in batches.
type acker struct {
	sub *consumer

	mu      sync.Mutex
	waiting map[string][]any // ids by stream
	n       int

	some  chan struct{} // holds a token while something waits
	full  chan struct{} // holds a token once a batch is full
	stop  chan struct{}
	done  chan struct{}
	acked atomic.Int64 // how many were acknowledged, to decide when streams are trimmed
}

func newAcker(sub *consumer) *acker {
	a := &acker{
		sub: sub, waiting: map[string][]any{},
		some: make(chan struct{}, 1), full: make(chan struct{}, 1),
		stop: make(chan struct{}), done: make(chan struct{}),
	}
	go a.work()
	return a
}

// add acknowledges a delivery with the next batch.
func (a *acker) add(d delivery) {
	a.mu.Lock()
	a.waiting[d.stream] = append(a.waiting[d.stream], d.id)
	a.n++
	n := a.n
	a.mu.Unlock()
	if n == 1 {
		offer(a.some)
	} else if n >= maxAcks {
		offer(a.full)
	}
}

func offer(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func (a *acker) work() {
	defer close(a.done)
	delay := time.NewTimer(ackDelay)
	defer delay.Stop()
	for {
		select {
		case <-a.some:
		case <-a.stop:
			return
		}
		delay.Reset(ackDelay)
		select {
		case <-a.full:
		case <-delay.C:
		case <-a.stop:
			return
		}
		_ = a.flush(context.Background()) // What failed waits for the next attempt.
	}
}

// flush sends what waits. What Redis does not confirm waits for the next attempt.
func (a *acker) flush(ctx context.Context) error {
	a.mu.Lock()
	waiting := a.waiting
	a.waiting, a.n = make(map[string][]any, len(waiting)), 0
	a.mu.Unlock()
	var failed error
	for stream, ids := range waiting {
		for len(ids) > 0 {
			batch := ids[:min(len(ids), 4*maxAcks)]
			_, err := a.sub.conn.Do(ctx, append([]any{"xack", stream, a.sub.cfg.Queue}, batch...)...)
			if err != nil {
				failed = err
				break
			}
			a.acked.Add(int64(len(batch)))
			ids = ids[len(batch):]
		}
		if len(ids) > 0 {
			a.mu.Lock()
			a.waiting[stream] = append(ids, a.waiting[stream]...)
			a.n += len(ids)
			a.mu.Unlock()
		}
	}
	if failed != nil {
		select {
		case <-a.stop:
		case <-time.After(minRetry):
			offer(a.some)
		}
	}
	return failed
}

// close sends what is left, as long as ctx allows.
func (a *acker) close(ctx context.Context) error {
	close(a.stop)
	<-a.done
	// With an expired context there is still one quick attempt: the handlers have succeeded.
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	err := a.flush(last)
	for err != nil && backoff.Wait(ctx, minRetry) {
		err = a.flush(ctx)
	}
	return err
}
