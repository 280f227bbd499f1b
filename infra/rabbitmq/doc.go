// Package rabbitmq is a [router.Transport] on RabbitMQ: a publisher with pipelined
// confirms, a subscriber that handles many messages at once without losing the order of
// a key, and the topology that both need.
//
// [Open] returns a [Broker] with two connections, one to publish and one to consume, so
// that a broker that throttles publishers does not throttle consumers. Both are opened in
// the background, and again with exponential backoff whenever they break; exchanges,
// queues, bindings and consumers are then declared again.
//
// Guarantees:
//
//   - Publish returns when the broker has confirmed every message of the call. A
//     message that was sent when the connection broke is sent again, so a consumer
//     may see it twice. The code of an error shows whether the outcome is known.
//   - A message for a topic {aggregate}.commands that no queue is bound for is an error
//     with the code UNHANDLED. So is an event that a subscriber of the [Broker] wants.
//   - Whatever declares an exchange declares what the Broker's subscribers need of it. If
//     the broker has no queue for a message that one of them wants, because an exchange, a
//     queue or a binding was deleted, all that is bound to the exchange is declared again,
//     and the message is sent again. A binding that was deleted while other queues receive
//     the type is declared again within [Config].DeclareEvery; what was published meanwhile
//     has not reached its queue. The same holds for a queue that the broker refuses to
//     declare, for which [Subscriber.Ready] is an error.
//   - A delivery is acknowledged after its handler has acked it, and at no other
//     time. What is not acknowledged when a connection breaks or a subscriber stops is
//     delivered again.
//   - No header, property or body of any producer can stop a subscription.
//
// Queues are durable quorum queues with a delivery limit. A message that was delivered
// that often without being acknowledged, such as one that crashes the process, is
// dead-lettered to {queue}.poison: at least once from quorum queues, at most once from
// classic ones. Messages that wait for their next attempt at the broker are in the queues
// {queue}.retry.{1s|2s|5s|10s|30s|1m|2m|5m|15m|30m|1h}, one for each delay tier.
//
// Of the log, the queue pitwheel.witness remembers how far it was published, for the day on
// which Redis is put back to an earlier state (witness.go).
//
// Of watermill-amqp the interfaces Marshaler and TopologyBuilder and their Config are
// used. Its connection is not, as it replaces a channel that other goroutines read
// without a lock, and fails if the first attempt to connect does; nor are its publisher
// and subscriber, which handle one message at a time.
package rabbitmq
