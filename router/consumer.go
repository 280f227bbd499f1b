package router

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"golang.org/x/time/rate"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router/internal/codec"
	"github.com/pitwheel/pitwheel/router/internal/keylock"
	"github.com/pitwheel/pitwheel/router/internal/panics"
	"github.com/pitwheel/pitwheel/router/internal/workerpool"
)

// messageHandler handles the messages of a declared command handler or reaction.
type messageHandler interface {
	handle(ctx context.Context, e *events.Envelope) result
}

// consumer is a handler that consumes a queue, with all that its pipeline works with.
type consumer struct {
	plan        *plan
	handler     messageHandler
	sub         Subscriber
	poisonQueue poisonQueue
	// queues publishes what was parked into the handler's queue.
	queues message.Publisher
	// delayer delays messages for longer than maxInMemory.
	delayer interface {
		Delay(ctx context.Context, queue string, d time.Duration, msgs ...*message.Message) error
	}
	maxInMemory time.Duration
	running     atomic.Int32 // messages that are being handled
	waiting     atomic.Int32 // messages that wait in memory
	inbox       Inbox        // nil: none
	account     *account     // nil: none
	refusals    refusals     // of the log
	parking     Parking      // nil: none
	key         func(*message.Message) string
	workers     *workerpool.Pool
	breaker     *breaker      // nil: none
	limiter     *rate.Limiter // nil: none
	// outcomes has the outcomes of commands; nil for a reaction.
	outcomes Log
	// turns are those of all command handlers, by aggregate; nil for a reaction.
	turns *keylock.Locks
	// places are as many as the handler's concurrency.
	places chan struct{}
	// decide is the pipeline of a command that is decided for a caller in this process;
	// nil for a reaction.
	decide stage
	// receiver reads messages.
	receiver codec.Receiver
	// applicationMiddleware is that of the application, from the outside in.
	applicationMiddleware []message.HandlerMiddleware
	// stopping is closed when the drain begins.
	stopping <-chan struct{}
	metrics  *handlerMetrics
	logger   *slog.Logger
}

// receiverOf returns what reads the messages of a handler: in its queue, and in its poison
// queue.
func receiverOf(p *plan, maxBytes int) codec.Receiver {
	return codec.Receiver{MaxBytes: maxBytes, ContentID: p.policy.ContentID, HashID: p.Kind() == KindCommand}
}

// receive reads the message of a delivery. An error is why it can never be handled.
func (c *consumer) receive(d *delivery) error {
	if err := c.receiver.Receive(d.msg, &d.envelope); err != nil {
		return err
	}
	if d.foreign = !fromLog(d.msg); !d.foreign || c.plan.Kind() == KindCommand {
		return nil // A command is refused by its decider, with an outcome.
	}
	err := panics.Guard("an upcaster", func() error { return complete(c.plan.types[d.envelope.Type], &d.envelope) })
	if events.CodeOf(err) == events.CodePanic {
		return nil // The handler meets the same panic where it counts as a failed attempt.
	}
	return err
}

// fromLog reports whether a message is an event of the log, whose data this program, or an
// older one, has written.
func fromLog(msg *message.Message) bool { return msg.Metadata[events.MetaLogPosition] != "" }

// complete returns an error with the code INVALID that names a required field which foreign
// data lack; they would be handled with a zero value in its place. Of data that cannot be
// read nothing is said, as decoding them has the better error.
func complete(t *events.Type, e *events.Envelope) error {
	if t == nil {
		return nil
	}
	data, err := t.Current(e.SchemaVersion, e.Data)
	if err != nil {
		return err
	}
	if field := t.MissingField(data); field != "" {
		return events.Invalid(field, "is missing in the data of %s, and is required", e.Type)
	}
	return nil
}

// keyOf returns the key that messages are ordered by: the aggregate's id, from the
// metadata that our own producers write, or else from the data of a foreign message.
func keyOf(c *events.Catalogue) func(*message.Message) string {
	return func(msg *message.Message) string {
		if id := msg.Metadata[events.MetaAggregateID]; id != "" {
			return id
		}
		return keyInData(c, msg)
	}
}

// keyInData returns the key that a message's data contain. Data whose key panics have
// none; the handler meets the same panic where it counts as a failed attempt.
func keyInData(c *events.Catalogue, msg *message.Message) (key string) {
	_ = panics.Guard("the key", func() error {
		var e events.Envelope
		if err := codec.Decode(msg, &e); err != nil {
			return err
		}
		v, err := c.DecodeData(e)
		if k, ok := v.(events.Keyed); ok && err == nil {
			key = k.AggregateID()
		}
		return err
	})
	return key
}
