package brokertest

import (
	"net"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// clusterSlots is how many hash slots a Redis Cluster has.
const clusterSlots = 16384

// StartRedisCluster starts a Redis Cluster of three masters for one test,
// and returns its URL. Without redis-server the test is skipped.
func StartRedisCluster(t testing.TB) string {
	t.Helper()
	const nodes = 3
	var addrs []string
	for i := range nodes {
		addr := StartRedis(t, "--cluster-enabled", "yes", "--appendfsync", "no").Addr()
		addrs = append(addrs, addr)
		c := redis.NewClient(&redis.Options{Addr: addr})
		defer func() { _ = c.Close() }()
		from, to := i*clusterSlots/nodes, (i+1)*clusterSlots/nodes-1
		if err := c.ClusterAddSlotsRange(t.Context(), from, to).Err(); err != nil {
			t.Fatalf("no cluster: %v", err)
		}
		host, port, _ := net.SplitHostPort(addrs[0])
		if err := c.ClusterMeet(t.Context(), host, port).Err(); err != nil {
			t.Fatalf("no cluster: %v", err)
		}
	}
	for _, addr := range addrs {
		c := redis.NewClient(&redis.Options{Addr: addr})
		defer func() { _ = c.Close() }()
		for deadline := time.Now().Add(2 * time.Minute); ; {
			info := c.ClusterInfo(t.Context()).Val()
			if strings.Contains(info, "cluster_state:ok") && strings.Contains(info, "cluster_known_nodes:3") && strings.Contains(info, "cluster_slots_ok:16384") {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("the cluster is not up within 2 minutes: %s", info)
			}
		}
	}
	return "redis://" + strings.Join(addrs, ",")
}
