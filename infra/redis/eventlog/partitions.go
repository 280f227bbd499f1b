package eventlog

import (
	"cmp"
	"context"
	"fmt"
	"strconv"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/redis/conn"
)

const (
	// DefaultPartitions is the number of partitions of a new store for which none is set.
	DefaultPartitions = 16
	// MaxPartitions bounds the partitions of a store: every reader asks for all of them at
	// once.
	MaxPartitions = 1024
)

// OpenPartitions reads from the store record how many partitions the log has, and returns
// what the keys of each one start with: "{p3}:" and the like, a hash tag, so that all keys
// of a partition are in one slot of a Redis Cluster. It is to be called while [conn.Open]
// prepares, and makes the connection probe writes in every partition.
//
// A store without a record is made with the wanted number; 0 is [DefaultPartitions]. With
// readOnly nothing is made, and such a store counts as one with that number. A store with
// another number than a wanted one is an error with the code CONFIG.
func OpenPartitions(ctx context.Context, c *conn.Conn, wanted int, readOnly bool) ([]string, error) {
	n, err := storeRecord(ctx, c, wanted, readOnly)
	if err != nil {
		return nil, err
	}
	prefixes, probes := make([]string, n), make([]string, n)
	for p := range n {
		prefixes[p] = c.Key(fmt.Sprintf("{p%d}:", p))
		probes[p] = prefixes[p] + "touch"
	}
	c.ProbeWrites(probes)
	return prefixes, nil
}

// storeRecord returns the number of partitions in the store record, and makes the record
// if there is none.
func storeRecord(ctx context.Context, c *conn.Conn, wanted int, readOnly bool) (int, error) {
	key, initial := c.Key("store"), cmp.Or(wanted, DefaultPartitions)
	if readOnly {
		if n, err := c.Client().Exists(ctx, key).Result(); err != nil || n == 0 {
			return initial, c.Explain(err)
		}
	} else if err := c.Client().HSetNX(ctx, key, "partitions", initial).Err(); err != nil {
		return 0, c.Explain(err)
	}
	text, err := c.Client().HGet(ctx, key, "partitions").Result()
	if err != nil {
		return 0, c.Explain(err)
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > MaxPartitions {
		return 0, events.Errorf(events.CodeConfig, "the key %s in Redis says that the store has %q partitions; it does not belong to this framework, or is damaged", key, text).WithField("Namespace")
	}
	if wanted != 0 && wanted != n {
		return 0, events.Errorf(events.CodeConfig, "the store in Redis was made with %d partitions, and %d are wanted", n, wanted).WithField("Partitions").
			WithHint("leave the number out, or use another namespace: the partitions of a store cannot be changed")
	}
	return n, nil
}
