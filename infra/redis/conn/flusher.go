package conn

import (
	"context"
	"time"

	"github.com/pitwheel/pitwheel/router/backoff"
)

// Flusher writes in the background what others gather. It is safe for concurrent use.
type Flusher struct {
	flush        func(context.Context) error
	delay, retry time.Duration
	some, full   chan struct{} // contain a token when there is something to write, or much
	stop, done   chan struct{}
	ctx          context.Context //nolint:containedctx // Ends when Close gives a running flush up.
	giveUp       context.CancelFunc
}

// NewFlusher starts a flusher; Close ends it. It calls flush, one call at a time, up to
// delay after something was gathered, and again a pause of retry after an error.
func NewFlusher(delay, retry time.Duration, flush func(context.Context) error) *Flusher {
	f := &Flusher{
		flush: flush, delay: delay, retry: retry, some: make(chan struct{}, 1), full: make(chan struct{}, 1),
		stop: make(chan struct{}), done: make(chan struct{}),
	}
	f.ctx, f.giveUp = context.WithCancel(context.Background())
	go f.run()
	return f
}

// Some reports that there is something to write.
func (f *Flusher) Some() { offer(f.some) }

// Full reports that there is enough to write it without delay.
func (f *Flusher) Full() { offer(f.full) }

func offer(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func (f *Flusher) run() {
	defer close(f.done)
	delay := time.NewTimer(f.delay)
	defer delay.Stop()
	for {
		select {
		case <-f.some:
		case <-f.stop:
			return
		}
		if f.delay > 0 {
			delay.Reset(f.delay)
			select {
			case <-f.full:
			case <-delay.C:
			case <-f.stop:
				return
			}
		}
		if f.flush(f.ctx) == nil {
			continue
		}
		select {
		case <-time.After(f.retry):
			f.Some()
		case <-f.stop:
			return
		}
	}
}

// Close flushes what is left, again after errors until ctx ends. If ctx has ended already,
// there is one attempt of a second; a flush under way is given up when ctx ends.
func (f *Flusher) Close(ctx context.Context) error {
	close(f.stop)
	stop := context.AfterFunc(ctx, f.giveUp)
	<-f.done
	stop()
	f.giveUp()
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	err := f.flush(last)
	for err != nil && backoff.Wait(ctx, f.retry) {
		err = f.flush(ctx)
	}
	return err
}
