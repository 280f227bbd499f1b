// Package streams is the transport on Redis Streams: a [router.Transport] that needs no
// other broker.
//
// A topic and a queue are a stream each. A queue is a consumer group of the same name on
// the topic's stream and on its own:
//
//	Publish("user.events")  ──▶ stream user.events ──▶ group mails ─┐
//	                                               └─▶ group audit  ├─▶ subscribers of mails
//	Publish("mails")        ──▶ stream mails       ──▶ group mails ─┘
//	Delay("mails", 5 s)     ──▶ sorted set delayed:{mails} ─(due)─▶ stream mails
//
// In a subscription, an intake reads batches of entries, one ahead; a dispatcher delivers
// them to the router, one at a time for each key; an acker acknowledges in batches what
// was handled. A heartbeat tells other instances that this consumer is alive, and finds
// consumers that are not: their entries are reclaimed (claim.lua). It also trims from
// streams what all groups have acknowledged (trim.lua).
//
// The group of a queue that is new to a topic begins at the end of the topic's stream, and one
// that is lost and made again at the beginning of what is left of it. A topic that no group
// reads keeps nothing.
//
// A mark ([Transport.Mark]) is an entry in the topic's stream whose type names a queue. The
// subscriber of that queue moves it to the queue's own stream, and receives it from there, so
// that it follows everything that was in both; subscribers of others skip it.
//
// With [router.Subscription].Ordered, one elected instance reads and the others stand by.
//
// An entry has the fields type, meta and body; see [Marshaller]. Entries of foreign
// producers are understood, and those that are not messages are delivered as messages
// with the metadata [MetaMalformed], so that they end in the poison queue.
package streams
