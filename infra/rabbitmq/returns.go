package rabbitmq

import (
	"slices"
	"sync"

	amqp "github.com/rabbitmq/amqp091-go"
)

// returns records which mandatory messages the broker has returned. A return has no
// delivery tag, but it is the message itself, and returns come in the order of publishing:
// so a return is of the first message with the same exchange, key and id, in the oldest call
// that is waited for. Nothing is kept of a message unless it is returned, so that mandatory
// costs nothing; if calls with the same message overlap, one may take the other's return,
// and sends a message again that is in a queue.
//
// The broker returns a message before it confirms it, but returns and confirms arrive on
// different channels. After a confirm the listener must catch up before one can tell
// whether the message was returned.
type returns struct {
	returned chan amqp.Return
	catchUp  chan chan struct{}
	done     chan struct{}

	mu    sync.Mutex
	calls []*call // those that are waited for, oldest first
}

func (r *returns) listen(ch *amqp.Channel) {
	r.returned = ch.NotifyReturn(make(chan amqp.Return, 64))
	r.catchUp = make(chan chan struct{})
	r.done = make(chan struct{})
	go r.run()
}

// run ends when the AMQP channel, and with it returned, is closed.
func (r *returns) run() {
	defer close(r.done)
	for {
		select {
		case back, ok := <-r.returned:
			if !ok {
				return
			}
			r.mark(back)
		case caughtUp := <-r.catchUp:
			for len(r.returned) > 0 {
				r.mark(<-r.returned)
			}
			close(caughtUp)
		}
	}
}

// stop waits for the listener to end. The channel must be closed.
func (r *returns) stop() { <-r.done }

func (r *returns) mark(back amqp.Return) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.calls {
		if c.to.exchange != back.Exchange {
			continue
		}
		for i := c.search; i < len(c.items); i++ {
			it := &c.items[i]
			if it.publishing.MessageId != back.MessageId || it.key != back.RoutingKey || !it.mandatory {
				continue
			}
			c.search = i + 1
			it.returned = back.ReplyText
			if it.returned == "" {
				it.returned = "NO_ROUTE"
			}
			return
		}
	}
}

// expect is called before the messages of a mandatory call are sent.
func (r *returns) expect(c *call) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls = append(r.calls, c)
}

// collect sets returned of the items of a mandatory call. The caller's goroutine calls it
// once every item is confirmed or lost.
func (r *returns) collect(c *call) {
	caughtUp := make(chan struct{})
	select {
	case r.catchUp <- caughtUp:
		<-caughtUp
	case <-r.done: // Every return has been marked.
	}
	r.release(c)
}

// release ends expect. It may be called again.
func (r *returns) release(c *call) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if i := slices.Index(r.calls, c); i >= 0 {
		r.calls = slices.Delete(r.calls, i, i+1)
	}
}
