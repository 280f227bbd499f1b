package router

import (
	"context"
	"time"
)

// Topology records which handlers are in force, and what their queues are bound to: an
// application that is changed leaves behind what its former build has declared.
// Implementations are safe for concurrent use.
type Topology interface {
	// DeclareHandlers records that a running instance declares handlers, with their
	// bindings, and which of them it consumes. A handler that has another queue than before
	// is recorded as another one.
	DeclareHandlers(ctx context.Context, handlers ...DeclaredHandler) error
	// DeclaredHandlers returns everything that is recorded, by name and queue.
	DeclaredHandlers(ctx context.Context) ([]DeclaredHandler, error)
	// ForgetBindings removes bindings from the record of a handler.
	ForgetBindings(ctx context.Context, h DeclaredHandler, bindings ...Binding) error
	// ForgetHandler removes a handler from the record, except for the name of the handler
	// that has its messages now; "" if there is none.
	ForgetHandler(ctx context.Context, h DeclaredHandler, renamedTo string) error
}

// DeclaredHandler is a handler as a [Topology] records it. Name and Queue identify it.
type DeclaredHandler struct {
	// Application is the name of the application that has declared it.
	Application string
	Name        string
	Kind        Kind
	// Queue is empty for a projection.
	Queue string
	// Ordered is that of its policy: the queue is declared accordingly.
	Ordered bool
	// Consumed reports, for DeclareHandlers, whether this instance consumes the queue.
	Consumed bool
	// Bindings are what the queue is bound to, as far as is known: what the last build
	// has declared, and what former builds have. For a projection they are the types that
	// it has cases for, without topic.
	Bindings []Binding
	// Since is when it was declared first; set by the store, as the rest.
	Since time.Time
	// DeclaredAgo and ConsumedAgo are how long ago a running instance has declared and
	// consumed it; negative: none ever has.
	DeclaredAgo, ConsumedAgo time.Duration
	// RenamedTo is the handler that has its messages now; it has left nothing behind.
	RenamedTo string
}

// Binding is a type of messages that a queue receives from a topic.
type Binding struct {
	Topic, Type string
	// DeclaredAgo is how long ago a running instance has declared it; set by the store.
	DeclaredAgo time.Duration
}

// QueueAdmin is what it takes to move and remove what a handler has left behind. A
// [Transport] may be one.
type QueueAdmin interface {
	// Unbind removes bindings of a queue. What does not exist is not an error.
	Unbind(ctx context.Context, topic, queue string, types ...string) error
	// CountQueue returns how many messages wait in the queue of a subscription, delayed ones
	// included, and those that a consumer has received and not acknowledged not always.
	CountQueue(ctx context.Context, of Subscription) (int, error)
	// MoveQueue publishes everything that waits in the queue of a subscription into another
	// queue, also what is delayed, and removes each message when the broker has confirmed
	// it: if that is interrupted, a message may be in both. The queue gets no more messages
	// of the subscription afterwards. It returns how many it has moved. Nobody may consume
	// the queue meanwhile.
	MoveQueue(ctx context.Context, from Subscription, to string) (int, error)
	// DeleteQueue deletes a queue, its poison queue and what was delayed for it, with all
	// messages. If an instance consumes the queue, the error has the code CONFIG, and nothing
	// is deleted. What does not exist is not an error.
	DeleteQueue(ctx context.Context, topic, queue string) error
}
