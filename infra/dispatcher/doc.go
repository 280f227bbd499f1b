// Package dispatcher is a keyed dispatcher: it delivers messages to a Watermill router,
// many at once, but never two of the same key, and those of one key in the order they
// came in.
//
// It stands between a broker's consumer and the channel that Watermill's router reads.
// The consumer pushes what it receives; [Dispatcher] keeps a bounded window of it,
// delivers each message when its key is free, waits for Ack or Nack, and reports by
// [Config].Done what may be acknowledged.
//
//	broker → Push → key → queue of the key → ready → worker → out → router → Ack → Done
//
// Keys are not hashed onto a fixed number of queues: each key that has something in the
// window has its own, so a slow key delays no other. A nacked message waits in memory, at
// the head of its queue, and is delivered again after a pause; the other messages of its key
// wait behind it while all other keys go on.
//
// A slow or failing key has a sixteenth of the window. What it has more waits in the overflow,
// in memory as well, which is bounded in messages and in bytes; the messages of other keys pass
// it. Push blocks, for all keys, once the overflow is full and another message of such a key
// comes: the limit of a hot key is [Config].Overflow. And sixteen hot keys fill the window.
package dispatcher
