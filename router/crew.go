package router

import (
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/pitwheel/pitwheel/events"
)

// crew are the goroutines that messages are handled on. Watermill starts a new
// goroutine for every message; its stack begins so small that it would have to
// grow, and be copied, once or twice on the way through the pipeline, which costs
// as much as the pipeline itself. The crew's stacks have grown already.
//
// There are as many hands as messages in flight, at most; they end with the crew.
type crew struct {
	work  chan *task
	tasks sync.Pool
	hands sync.WaitGroup

	mu      sync.Mutex
	started int
	size    int

	busy       atomic.Int32 // hands that handle a message
	processors int
}

// task is one message on its way to a hand and back.
type task struct {
	msg  *message.Message
	next message.HandlerFunc
	out  []*message.Message
	err  error
	done chan struct{}
}

func newCrew(size int) *crew {
	return &crew{
		work:  make(chan *task),
		tasks: sync.Pool{New: func() any { return &task{done: make(chan struct{}, 1)} }},
		size:  size,

		processors: runtime.GOMAXPROCS(0),
	}
}

// carry is the outermost middleware.
func (c *crew) carry(next message.HandlerFunc) message.HandlerFunc {
	return func(msg *message.Message) ([]*message.Message, error) {
		if int(c.busy.Load()) < c.processors {
			// Watermill takes messages one by one, each goroutine on the way waking the
			// next. If that went on here, a message would be handled before the next one
			// is taken, and all processors but one would find nothing to run.
			runtime.Gosched()
		}
		t := c.tasks.Get().(*task)
		t.msg, t.next = msg, next
		select {
		case c.work <- t:
		default:
			c.hire()
			c.work <- t
		}
		<-t.done
		out, err := t.out, t.err
		t.msg, t.next, t.out, t.err = nil, nil, nil, nil
		c.tasks.Put(t)
		return out, err
	}
}

// hire adds a hand if there may be one more.
func (c *crew) hire() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.started < c.size {
		c.started++
		c.hands.Go(func() {
			for t := range c.work {
				c.busy.Add(1)
				t.run()
				c.busy.Add(-1)
				t.done <- struct{}{}
			}
		})
	}
}

// run calls the rest of the pipeline. A panic beyond the reach of [consumer.recover]
// is a mistake of ours; it must not take the hand with it.
func (t *task) run() {
	defer func() {
		if r := recover(); r != nil {
			t.out, t.err = nil, aborted{events.Errorf(events.CodePanic, "the pipeline panicked: %v\n%s", r, bounded(string(debug.Stack()), maxStack))}
		}
	}()
	t.out, t.err = t.next(t.msg)
}

// dismiss ends the crew. No message may come any more.
func (c *crew) dismiss() {
	close(c.work)
	c.hands.Wait()
}
