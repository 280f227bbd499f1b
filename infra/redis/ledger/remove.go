package ledger

import (
	"context"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"
)

// removeBatch is how many keys are deleted at once.
const removeBatch = 500

// RemoveLedger removes the ledgers of a handler, also those for logs that are gone.
func (l *Ledger) RemoveLedger(ctx context.Context, handler string) error {
	keys, err := l.keysOf(ctx, handler)
	if err != nil {
		return err
	}
	// The hash of the log last: until then, a rename that is interrupted can go on.
	last, err := l.of(ctx, handler)
	if err != nil {
		return err
	}
	keys = append(slices.DeleteFunc(keys, func(key string) bool { return key == l.key(last) }), l.key(last))
	for some := range slices.Chunk(keys, removeBatch) {
		args := []any{"unlink"}
		for _, key := range some {
			args = append(args, key)
		}
		if _, err := l.conn.Do(ctx, args...); err != nil {
			return err
		}
	}
	_, err = l.conn.Do(ctx, "hdel", l.reportsKey(), handler)
	return err
}

// keysOf returns all keys of a handler. They are in one slot, and so on one node, all of whose
// keys are looked through: no count of a handler's chunks is kept, which would have to be
// written with each.
func (l *Ledger) keysOf(ctx context.Context, handler string) ([]string, error) {
	prefix := l.conn.Key("ledger:{" + handler + "}:")
	var node redis.Cmdable = l.conn.Client()
	if cluster, ok := node.(*redis.ClusterClient); ok {
		master, err := cluster.MasterForKey(ctx, prefix)
		if err != nil {
			return nil, l.conn.Explain(err)
		}
		node = master
	}
	pattern := strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`).Replace(prefix) + "*"
	var keys []string
	all := node.Scan(ctx, 0, pattern, scanCount).Iterator()
	for all.Next(ctx) {
		keys = append(keys, all.Val())
	}
	slices.Sort(keys)
	return slices.Compact(keys), l.conn.Explain(all.Err())
}
