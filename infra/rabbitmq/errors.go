package rabbitmq

import "github.com/pitwheel/pitwheel/events"

// errClosed is what everything returns once the broker is closed.
var errClosed error = events.Errorf(events.CodeShuttingDown, "the RabbitMQ client is closed")
