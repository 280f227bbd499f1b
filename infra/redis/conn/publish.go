package conn

import (
	"context"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/pitwheel/pitwheel/events"
)

// probeDurable finds out how Redis can confirm that something is durable. A server that
// cannot is an error with the code CONFIG and the way out; from then on nothing is
// confirmed until it can.
func (c *Conn) probeDurable(ctx context.Context) error {
	how, err := c.confirmation(ctx)
	if err == nil || events.CodeOf(err) == events.CodeConfig {
		c.confirm.Store(int32(how))
	}
	return err
}

// confirmation returns how Redis confirms; without any way, one that never succeeds.
func (c *Conn) confirmation(ctx context.Context) (confirmation, error) {
	always, err := c.everyNode(ctx, func(ctx context.Context, node *redis.Client) (bool, error) {
		aof, fsync, err := c.persists(ctx, node)
		return aof == "yes" && fsync == "always", err
	})
	if err != nil || always {
		return confirmNothing, err
	}
	if c.cluster {
		return confirmReplica, c.cannotConfirm("is a cluster, where only appendfsync always does", "set appendfsync always on every node, or publish=now")
	}
	node, _ := c.client.(*redis.Client)
	if node == nil {
		return confirmReplica, c.cannotConfirm("is of an unknown kind", "set publish=now")
	}
	aof, fsync, err := c.persists(ctx, node)
	if err != nil {
		return confirmNothing, err
	}
	// Without CONFIG the server is asked to wait for nothing, on its disk.
	if fsync != "no" {
		err := node.Do(ctx, "waitaof", 1, 0, 1).Err()
		if reply, replied := replyError(err); err == nil {
			return confirmDisk, nil
		} else if !replied || transient(reply) {
			return confirmNothing, c.Explain(err)
		}
	}
	info, err := node.Info(ctx, "replication").Result()
	if reply, replied := replyError(err); err != nil && (!replied || transient(reply)) {
		return confirmNothing, c.Explain(err)
	}
	for line := range strings.Lines(info) {
		if n, ok := strings.CutPrefix(strings.TrimSpace(line), "connected_slaves:"); ok && n != "0" {
			return confirmReplica, nil
		}
	}
	return confirmReplica, c.cannotConfirm("has appendonly "+aof+" with appendfsync "+fsync+", no WAITAOF for its append-only file, and no replica",
		"set appendonly yes and appendfsync always on the server, or run Redis 7.2 or later with appendonly yes, or connect a replica; publish=now does without")
}

func (c *Conn) cannotConfirm(why, hint string) error {
	return events.Errorf(events.CodeConfig, "only what is durable is to be published, and Redis at %s cannot confirm that: it %s", c.health.addrs, why).WithField("Publish").WithHint("%s", hint)
}

// everyNode reports whether something holds for every node that is written to.
func (c *Conn) everyNode(ctx context.Context, holds func(context.Context, *redis.Client) (bool, error)) (bool, error) {
	switch client := c.client.(type) {
	case *redis.Client:
		return holds(ctx, client)
	case *redis.ClusterClient:
		missing := make(chan struct{}, 1)
		err := client.ForEachMaster(ctx, func(ctx context.Context, node *redis.Client) error {
			ok, err := holds(ctx, node)
			if err == nil && !ok {
				select {
				case missing <- struct{}{}:
				default: // One is enough.
				}
			}
			return err
		})
		return len(missing) == 0, err
	}
	return false, nil
}
