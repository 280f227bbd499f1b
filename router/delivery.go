package router

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/pitwheel/pitwheel/events"
)

// delivery is one message on its way through the pipeline. It is the message's
// context at the same time, so that carrying it costs no allocation of its own.
type delivery struct {
	context.Context
	handler  *consumer
	envelope events.Envelope
	// unreadable is why the message could not be decoded; nil if it could.
	unreadable error
	// attempts is how often the handler was called.
	attempts int
	// attempted is when it was called last.
	attempted time.Time
	// firstFailed is when the first attempt failed; zero if none has.
	firstFailed time.Time
	// stack is where the handler panicked, bounded; empty if it did not.
	stack   string
	verdict verdict
	// pause is how long the message has to wait for its next attempt; 0 if none follows.
	pause time.Duration
	// away says that it does so at the broker.
	away bool
	// keep says that the message must not leave its lane, however long the pause.
	keep bool
	// back says that the message is given back to its lane.
	back bool
	// probe says that the handler's breaker is open and this message tries whether
	// it may be closed.
	probe bool
	// repeated says that the command in hand was decided before.
	repeated bool
	// sent counts the commands that this attempt sent, by their content, so that two
	// equal ones get two ids and a retried handler sends the same ones again.
	sent    map[string]int
	sending sync.Mutex
}

// verdict is how a delivery ended; the values are those of the metric's label.
type verdict string

const (
	verdictHandled   verdict = "handled"
	verdictDuplicate verdict = "duplicate"
	verdictRetried   verdict = "retried"
	verdictPoisoned  verdict = "poisoned"
	// verdictEarly is a message that came before its time and waits on. It is not
	// counted.
	verdictEarly verdict = "early"
	// verdictParked is a message that waits behind a failed one of its key.
	verdictParked verdict = "parked"
	// verdictAborted is a delivery that was given back: the process is stopping,
	// or the store is away. It is no failure of the handler and not counted.
	verdictAborted verdict = "aborted"
)

type deliveryKey struct{}

// Value answers with the delivery itself, or asks the message's own context.
func (d *delivery) Value(key any) any {
	if _, ok := key.(deliveryKey); ok {
		return d
	}
	return d.Context.Value(key)
}

// deliveryOf returns the delivery that a context belongs to, or nil.
func deliveryOf(ctx context.Context) *delivery {
	if d, ok := ctx.(*delivery); ok {
		return d
	}
	d, _ := ctx.Value(deliveryKey{}).(*delivery)
	return d
}

// aborted marks an error that is not the handler's: the message is given back,
// is never poisoned, and the attempt does not count.
type aborted struct{ error }

func (a aborted) Unwrap() error { return a.error }

// giveBack lets the message come again after a pause, during which its key rests.
// The message is settled by that, so Watermill's router is told of no error.
func (d *delivery) giveBack(msg *message.Message, pause time.Duration) {
	msg.Metadata[events.MetaPause] = pause.String()
	msg.Nack()
	d.verdict, d.back = verdictAborted, true
}

// consumer is one handler that receives messages, with all it works with.
type consumer struct {
	plan    *plan
	handle  func(context.Context, *events.Envelope) error
	sub     Subscriber
	letters message.Publisher
	// queues takes what was parked back into the handler's queue.
	queues message.Publisher
	// delayed is the transport, for what waits longer than maxRest.
	delayed interface {
		Delay(ctx context.Context, queue string, d time.Duration, msgs ...*message.Message) error
	}
	maxRest time.Duration
	// resting is how many messages rest in their lanes.
	resting atomic.Int32
	inbox   Inbox
	parking Parking // nil: none
	key     func(*message.Message) string
	crew    *crew
	breaker *breaker // nil: none
	// maxBytes bounds a message's body.
	maxBytes int
	// stopping is closed when the drain begins.
	stopping <-chan struct{}
	metrics  *handlerMetrics
	logger   *slog.Logger
}

// pass is the handler at the end of the pipeline.
func (c *consumer) pass(msg *message.Message) ([]*message.Message, error) {
	d := deliveryOf(msg.Context())
	if d.unreadable != nil {
		return nil, d.unreadable
	}
	return nil, c.handle(msg.Context(), &d.envelope)
}
