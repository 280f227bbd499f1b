package rabbitmq

import (
	"sync"

	amqp "github.com/rabbitmq/amqp091-go"
)

// returns tells which mandatory messages the broker has sent back. A return
// carries no delivery tag, but it is the message itself, and returns come in the
// order of publishing: so a return is for the oldest message under way with the
// same exchange, key and id.
//
// The broker sends a message back before it confirms it, but the two reach us by
// different ways; whoever has seen a confirm asks the listener to catch up before
// it looks whether the message came back.
type returns struct {
	arrived chan amqp.Return
	catchUp chan chan struct{}
	done    chan struct{}

	mu       sync.Mutex
	expected map[returnKey][]*item
}

type returnKey struct{ exchange, key, id string }

func (r *returns) listen(ch *amqp.Channel) {
	r.arrived = ch.NotifyReturn(make(chan amqp.Return, 64))
	r.catchUp = make(chan chan struct{})
	r.done = make(chan struct{})
	r.expected = make(map[returnKey][]*item)
	go r.run()
}

// run ends when the channel, and with it arrived, is closed.
func (r *returns) run() {
	defer close(r.done)
	for {
		select {
		case back, ok := <-r.arrived:
			if !ok {
				return
			}
			r.mark(back)
		case caughtUp := <-r.catchUp:
			for pending := true; pending; {
				select {
				case back, ok := <-r.arrived:
					if !ok {
						close(caughtUp)
						return
					}
					r.mark(back)
				default:
					pending = false
				}
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

// settle makes the items of a mandatory call know whether they came back. The
// caller's goroutine calls it once every item is confirmed or lost.
func (r *returns) settle(c *call) {
	caughtUp := make(chan struct{})
	select {
	case r.catchUp <- caughtUp:
		<-caughtUp
	case <-r.done: // Whatever came back has been marked.
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range c.items {
		r.forget(c.to.exchange, &c.items[i])
	}
}

// abandon forgets an item that is confirmed and whose caller waits no more.
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
