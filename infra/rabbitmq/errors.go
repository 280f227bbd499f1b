package rabbitmq

import "github.com/pitwheel/pitwheel/events"

// errClosed is the error of every call on a closed broker, publisher or subscriber.
var errClosed error = events.Errorf(events.CodeShuttingDown, "the RabbitMQ client is closed")
