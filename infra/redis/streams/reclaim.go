package streams

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/redis/conn"
)

// reclaim claims what dead consumers have read and not acknowledged. Nothing of a stream
// is dispatched before all of it is claimed, and so in order.
func (in *intake) reclaim(ctx context.Context) error {
	for _, stream := range in.streams {
		entries, err := in.claimAll(ctx, stream)
		if err != nil {
			return err
		}
		if len(entries) == 0 {
			continue
		}
		slices.SortFunc(entries, func(a, b any) int { return compareIDs(conn.EntryID(a), conn.EntryID(b)) })
		in.sub.of.log.InfoContext(ctx, "messages of a dead consumer are reclaimed", "stream", stream, "messages", len(entries))
		if err := in.pass(ctx, batch{stream: stream, entries: entries}); err != nil {
			return err
		}
	}
	return nil
}

// claimAll claims everything, each part under a consumer name of its own: if it fails,
// these reclaiming consumers are dead as well, and what they got is claimed from them next
// time.
func (in *intake) claimAll(ctx context.Context, stream string) ([]any, error) {
	var all []any
	var names []string
	for _, dead := range in.sub.heart.deadConsumers(stream) {
		for more := true; more; {
			name := events.NewID()
			in.sub.heart.add(name)
			names = append(names, name)
			reply, err := in.sub.conn.Run(ctx, in.sub.transport.scripts.claim, []string{stream}, in.sub.cfg.Queue, dead, name, maxEntries)
			if err != nil {
				in.sub.heart.markDead(stream, names)
				return nil, err
			}
			entries, _ := reply.([]any)
			all = append(all, entries...)
			if more = len(entries) > 0; !more {
				in.sub.heart.remove(name)
				names = names[:len(names)-1]
			}
		}
		in.sub.heart.removed(stream, dead)
	}
	return all, nil
}

// compareIDs compares two ids of a stream. Of two numbers without leading zeros
// the longer one is the larger.
func compareIDs(a, b string) int {
	a1, a2, _ := strings.Cut(a, "-")
	b1, b2, _ := strings.Cut(b, "-")
	return cmp.Or(cmp.Compare(len(a1), len(b1)), cmp.Compare(a1, b1), cmp.Compare(len(a2), len(b2)), cmp.Compare(a2, b2))
}
