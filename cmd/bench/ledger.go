package main

import (
	"context"
	"hash/fnv"
	"strconv"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router"
)

// ledgered is a row that empties two queues with the same events: one of which nothing says
// where they are in the log, so that they are deduplicated by the inbox, as in a router without
// a ledger; and one of events of the log, with the ledger.
func ledgered(carrier broker, queueType string, count func(*bench) int) func(context.Context, *space) contest {
	return func(ctx context.Context, s *space) contest {
		c := consuming{queueType: queueType, load: standard(count(s.bench))}
		app, msgs := s.openOn(ctx, carrier, queueType, 0), c.load.messages()
		run := func(c consuming, msgs []*message.Message) []contestant {
			return only(func(ctx context.Context) float64 {
				// In turn, as both are the same queue; what the other one has left in the inbox is gone.
				check(app.store.Client().Del(ctx, s.inboxKeys(ctx)...).Err())
				app.fill(ctx, msgs, "bench")
				return app.consume(ctx, c)
			})
		}
		return contest{limit: run(c, msgs), pitwheel: run(c.withLedger(), app.fromLog(ctx, msgs))}
	}
}

// withLedger returns the row with the ledger.
func (c consuming) withLedger() consuming {
	c.ledger = true
	return c
}

// inboxKeys returns the keys of the inbox, and one that does not exist.
func (s *space) inboxKeys(ctx context.Context) []string {
	return append(get(s.redisClient().Keys(ctx, s.key("inbox:*")).Result()), s.key("none"))
}

// marker is the transport as the auditor uses it.
func (a *application) marker() router.Marker {
	if a.broker != nil {
		return a.broker
	}
	return a.store
}

// fromLog returns messages as the relay publishes them: with their positions.
func (a *application) fromLog(ctx context.Context, msgs []*message.Message) []*message.Message {
	epoch := get(a.store.Epoch(ctx))
	end := make([]uint64, a.store.Partitions())
	out := make([]*message.Message, len(msgs))
	for i, msg := range msgs {
		h := fnv.New32a()
		_, _ = h.Write([]byte(msg.Metadata[events.MetaAggregateID])) // It never fails.
		p := int(h.Sum32()) % len(end)
		end[p]++
		out[i] = msg.Copy()
		out[i].Metadata[events.MetaLogPartition] = strconv.Itoa(p)
		out[i].Metadata[events.MetaLogPosition] = strconv.FormatUint(end[p], 10)
		out[i].Metadata[events.MetaLogEpoch] = epoch
	}
	return out
}
