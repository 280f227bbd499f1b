// Package dispatcher hands out deliveries to a Watermill router: many at once, but
// never two of the same key, and those of one key in the order they came in.
//
// It stands between a broker's consumer and the channel that Watermill's router
// reads. The consumer pushes what it receives; [Dispatcher] keeps a bounded window of
// it, hands each message out when its key is free, waits for Ack or Nack, and
// tells the consumer by [Config].Settle what may be acknowledged.
//
//	broker → Push → key → queue of the key → ready → worker → out → router → Ack → Settle
//
// Keys are not hashed onto a fixed number of lanes: each key that has something
// in the window has a queue of its own, so one slow key delays no other. A key
// that fails is handed out again in place, after a pause that doubles, and its
// followers wait behind it while all other keys go on.
//
// What a slow or failing key cannot do is take more than the window: when the
// window holds nothing but its messages, intake stops. Choose the window larger
// than the number of messages one key may have waiting.
package dispatcher
