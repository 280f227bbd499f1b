package eventlog

import (
	"fmt"

	"github.com/pitwheel/pitwheel/infra/redis/conn"
)

const (
	// DefaultPartitions is the number of partitions of a new store for which none is set.
	DefaultPartitions = 16
	// MaxPartitions bounds the partitions of a store: every reader asks for all of them at
	// once.
	MaxPartitions = 1024
)

// OpenPartitions returns what the keys of each of n partitions start with: "{p3}:" and the
// like, a hash tag, so that all keys of a partition are in one slot of a Redis Cluster. It is
// to be called while [conn.Open] prepares, and makes the connection probe writes in every
// partition.
func OpenPartitions(c *conn.Conn, n int) []string {
	prefixes, probes := make([]string, n), make([]string, n)
	for p := range n {
		prefixes[p] = c.Key(fmt.Sprintf("{p%d}:", p))
		probes[p] = prefixes[p] + "touch"
	}
	c.ProbeWrites(probes)
	return prefixes
}
