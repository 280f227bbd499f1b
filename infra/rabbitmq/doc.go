// Package rabbit carries messages over RabbitMQ: a publisher whose confirms are
// pipelined, a subscriber that handles many messages at once without losing the
// order of a key, and the topology that both need.
//
// [Open] returns a [Broker] with two connections, one to publish and one to
// consume, so that a broker that slows publishers down slows no consumer. Both
// are opened in the background and opened again whenever they break, with an
// exponential backoff; exchanges, queues, bindings and consumers are declared
// again each time.
//
// What is promised:
//
//   - Publish returns when the broker has confirmed every message of the call. A
//     message that was sent when the connection broke is sent again, so a consumer
//     may see it twice. An error says whether the outcome is known.
//   - A message for a topic {aggregate}.commands, or for a queue, that no queue
//     takes is an error with the code UNHANDLED.
//   - A delivery is acknowledged after its handler has acked it, and at no other
//     time. What is not settled when a connection breaks or a subscriber stops is
//     delivered again.
//   - No header, property or body of any producer can stop a subscription.
//
// Queues are durable quorum queues with a delivery limit. A message that was
// delivered that often without being settled, as one of which the process dies,
// goes to {queue}.poison; the hop is at least once for quorum queues, and at most
// once for classic ones.
//
// Watermill's AMQP module gives the seams: its Marshaler and TopologyBuilder
// interfaces and its Config. Its connection is not used, as it replaces a channel that
// others read without a lock and gives up when the first connect fails; nor are its
// publisher and subscriber, which handle one message at a time.
package rabbitmq
