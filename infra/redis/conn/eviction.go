package conn

import (
	"context"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/pitwheel/pitwheel/events"
)

// probeEviction returns an error with the code CONFIG if Redis may evict keys: the log, an
// index, an outcome or a lease that is evicted is lost without a trace.
//
// Any policy but noeviction counts, also while no maxmemory is set and none evicts: whoever
// has chosen one means keys to be evicted from the day on that there is a limit, and then
// nobody thinks of this. A server that does not tell its policy, such as an in-process one,
// passes.
func (c *Conn) probeEviction(ctx context.Context) error {
	policies := make(chan [2]string, 1)
	look := func(ctx context.Context, node *redis.Client) error {
		policy, err := evictionPolicy(ctx, node)
		if err != nil || policy == "" || policy == "noeviction" {
			return c.Explain(err)
		}
		select {
		case policies <- [2]string{node.Options().Addr, policy}:
		default: // One is enough.
		}
		return nil
	}
	var err error
	switch client := c.client.(type) {
	case *redis.Client:
		err = look(ctx, client)
	case *redis.ClusterClient: // Each node has its own configuration.
		err = client.ForEachMaster(ctx, look)
	}
	select {
	case found := <-policies:
		return events.Errorf(events.CodeConfig, "Redis at %s has maxmemory-policy %s and may evict events, outcomes and leases", found[0], found[1]).WithField("URL").
			WithHint("set it on the server, and in its configuration: CONFIG SET maxmemory-policy noeviction; caches belong on another Redis")
	default:
		return err
	}
}

// evictionPolicy returns what a server does when it is out of memory; "" if it does not tell.
// A managed Redis may forbid CONFIG, and has the policy in INFO.
func evictionPolicy(ctx context.Context, node *redis.Client) (string, error) {
	const name = "maxmemory-policy"
	got, err := node.ConfigGet(ctx, name).Result()
	reply, replied := replyError(err)
	if refused := replied && !transient(reply); !refused && (err != nil || got[name] != "") {
		return got[name], err
	}
	info, err := node.Info(ctx, "memory").Result()
	if reply, replied := replyError(err); replied && !transient(reply) {
		return "", nil
	}
	for line := range strings.Lines(info) {
		if policy, ok := strings.CutPrefix(strings.TrimSpace(line), "maxmemory_policy:"); ok {
			return policy, nil
		}
	}
	return "", err
}
