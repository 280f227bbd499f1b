package redisdb

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

const (
	acksAtOnce = 256
	ackDelay   = 2 * time.Millisecond // the longest that a lone acknowledgement waits for company
)

// acker gathers acknowledgements and sends them in batches.
type acker struct {
	sub *subscription

	mu      sync.Mutex
	waiting map[string][]any // ids by stream
	n       int

	some  chan struct{} // holds a token while something waits
	full  chan struct{} // holds a token once a batch is full
	stop  chan struct{}
	done  chan struct{}
	acked atomic.Int64 // how many were acknowledged, for the one who trims streams
}

func newAcker(sub *subscription) *acker {
	a := &acker{
		sub: sub, waiting: map[string][]any{},
		some: make(chan struct{}, 1), full: make(chan struct{}, 1),
		stop: make(chan struct{}), done: make(chan struct{}),
	}
	go a.work()
	return a
}

// settle is told of every delivery once. What was given up stays pending, so that
// another consumer takes it over.
func (a *acker) settle(d delivery, handled bool) {
	if !handled {
		return
	}
	a.mu.Lock()
	a.waiting[d.stream] = append(a.waiting[d.stream], d.id)
	a.n++
	n := a.n
	a.mu.Unlock()
	if n == 1 {
		offer(a.some)
	} else if n >= acksAtOnce {
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
		_ = a.flush(context.Background()) // What failed waits for the next try.
	}
}

// flush sends what waits. While Redis is away it stays, and is tried again.
func (a *acker) flush(ctx context.Context) error {
	a.mu.Lock()
	waiting := a.waiting
	a.waiting, a.n = make(map[string][]any, len(waiting)), 0
	a.mu.Unlock()
	var failed error
	for stream, ids := range waiting {
		for len(ids) > 0 {
			batch := ids[:min(len(ids), 4*acksAtOnce)]
			_, err := a.sub.store.do(ctx, append([]any{"xack", stream, a.sub.of.cfg.Queue}, batch...)...)
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
	// An expired context still gets one quick try: its handlers have succeeded.
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	err := a.flush(last)
	for err != nil && ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-time.After(minRetry):
			err = a.flush(ctx)
		}
	}
	return err
}
