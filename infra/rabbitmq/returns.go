package rabbitmq

import (
	"sync"

	amqp "github.com/rabbitmq/amqp091-go"
)

// returns records which mandatory messages the broker has returned. A return has no
// delivery tag, but it is the message itself, and returns come in the order of publishing:
// so a return is of the oldest unconfirmed message with the same exchange, key and id.
//
// The broker returns a message before it confirms it, but returns and confirms arrive on
// different channels. After a confirm the listener must catch up before one can tell
// whether the message was returned.
type returns struct {
	returned chan amqp.Return
	catchUp  chan chan struct{}
	done     chan struct{}

	mu       sync.Mutex
	expected map[returnKey][]*item
}

type returnKey struct{ exchange, key, id string }

func (r *returns) listen(ch *amqp.Channel) {
	r.returned = ch.NotifyReturn(make(chan amqp.Return, 64))
	r.catchUp = make(chan chan struct{})
	r.done = make(chan struct{})
	r.expected = make(map[returnKey][]*item)
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
	for _, it := range r.expected[returnKey{back.Exchange, back.RoutingKey, back.MessageId}] {
		if it.returned == "" {
			it.returned = back.ReplyText
			if it.returned == "" {
				it.returned = "NO_ROUTE"
			}
			return
		}
	}
}

// expect is called before a mandatory message is sent.
func (r *returns) expect(exchange string, it *item) {
	k := returnKey{exchange, it.key, it.publishing.MessageId}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.expected[k] = append(r.expected[k], it)
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
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range c.items {
		r.forget(c.to.exchange, &c.items[i])
	}
}

// abandon removes an item that is confirmed and whose caller does not wait any more.
func (r *returns) abandon(exchange string, it *item) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.forget(exchange, it)
}

// forget is called with mu held.
func (r *returns) forget(exchange string, it *item) {
	k := returnKey{exchange, it.key, it.publishing.MessageId}
	waiting := r.expected[k]
	for i, other := range waiting {
		if other == it {
			waiting = append(waiting[:i:i], waiting[i+1:]...)
			break
		}
	}
	if len(waiting) == 0 {
		delete(r.expected, k)
	} else {
		r.expected[k] = waiting
	}
}
