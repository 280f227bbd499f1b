// Package workerpool handles messages on long-lived goroutines.
//
// Watermill starts a new goroutine for every message. Its stack begins so small that
// it has to grow, and be copied, once or twice on the way through the pipeline, which
// costs as much as the pipeline itself. The stacks of the workers have grown already.
package workerpool

import (
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router/internal/panics"
)

// Pool is a pool of workers. It is safe for concurrent use.
type Pool struct {
	work    chan *task
	tasks   sync.Pool
	workers sync.WaitGroup

	mu      sync.Mutex
	started int
	size    int

	busy       atomic.Int32 // workers that handle a message
	processors int
}

// task is one message on its way to a worker and back.
type task struct {
	msg  *message.Message
	next message.HandlerFunc
	out  []*message.Message
	err  error
	done chan struct{}
}

// New returns a pool of at most size workers. They are started when they are needed,
// and run until [Pool.Stop].
func New(size int) *Pool {
	return &Pool{
		work:  make(chan *task),
		tasks: sync.Pool{New: func() any { return &task{done: make(chan struct{}, 1)} }},
		size:  size,

		processors: runtime.GOMAXPROCS(0),
	}
}

// Middleware is a Watermill middleware that calls next on a worker.
func (p *Pool) Middleware(next message.HandlerFunc) message.HandlerFunc {
	return func(msg *message.Message) ([]*message.Message, error) {
		if int(p.busy.Load()) < p.processors {
			// Watermill receives messages one by one, each goroutine on the way waking the
			// next. Without a yield here, a message would be handled before the next one
			// is received, and all processors but one would be idle.
			runtime.Gosched()
		}
		t := p.tasks.Get().(*task)
		t.msg, t.next = msg, next
		select {
		case p.work <- t:
		default:
			p.start()
			p.work <- t
		}
		<-t.done
		out, err := t.out, t.err
		t.msg, t.next, t.out, t.err = nil, nil, nil, nil
		p.tasks.Put(t)
		return out, err
	}
}

// start starts a worker unless the pool has all of them.
func (p *Pool) start() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.started == p.size {
		return
	}
	p.started++
	p.workers.Go(func() {
		for t := range p.work {
			p.busy.Add(1)
			t.run()
			p.busy.Add(-1)
			t.done <- struct{}{}
		}
	})
}

// run calls the rest of the pipeline. A panic that reaches it is a fault of the
// framework, as those of handlers are recovered before; it must not end the worker.
func (t *task) run() {
	defer func() {
		if r := recover(); r != nil {
			p := panics.Recovered(r, "the pipeline")
			t.out, t.err = nil, events.Errorf(events.CodePanic, "%w\n%s", p, p.Stack)
		}
	}()
	t.out, t.err = t.next(t.msg)
}

// Stop ends the workers and waits for them. No message may come afterwards.
func (p *Pool) Stop() {
	close(p.work)
	p.workers.Wait()
}
