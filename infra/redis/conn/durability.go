package conn

import (
	"cmp"
	"context"
	"fmt"

	"github.com/redis/go-redis/v9"

	"github.com/pitwheel/pitwheel/events"
)

// What [Config].Durability can require.
const (
	DurabilityFast   = "fast"   // what was confirmed more than a second ago survives a crash
	DurabilityStrict = "strict" // everything that was confirmed survives a crash
)

func validDurability(want string) error {
	switch want {
	case "", DurabilityFast, DurabilityStrict:
		return nil
	}
	return events.Errorf(events.CodeConfig, `the durability is %q; it must be "fast", "strict" or empty`, want).WithField("Durability")
}

// probeDurability asks the server what it persists, and returns an error if that is less
// than what is required.
func (c *Conn) probeDurability(ctx context.Context, want string) error {
	aof, fsync, err := c.persists(ctx, c.client)
	if err != nil {
		return err
	}
	if want == "" {
		c.log.InfoContext(ctx, "no durability is required of Redis", "addr", c.health.addrs, "appendonly", aof, "appendfsync", fsync)
		return nil
	}
	if why, hint := shortfall(want, aof, fsync); why != "" {
		return events.Errorf(events.CodeConfig, "the durability %q is required, but Redis at %s %s", want, c.health.addrs, why).WithField("Durability").WithHint("%s", hint)
	}
	return nil
}

// persists returns the settings appendonly and appendfsync of a server; "unknown" for one
// that does not tell.
func (c *Conn) persists(ctx context.Context, node redis.Cmdable) (aof, fsync string, err error) {
	var has [2]string
	for i, name := range []string{"appendonly", "appendfsync"} {
		got, err := node.ConfigGet(ctx, name).Result()
		if reply, replied := replyError(err); err != nil && (!replied || transient(reply)) {
			return "", "", c.Explain(err)
		}
		has[i] = cmp.Or(got[name], "unknown")
	}
	return has[0], has[1], nil
}

// shortfall returns what a server with the given settings lacks, and how to configure it.
func shortfall(want, aof, fsync string) (why, hint string) {
	switch {
	case aof == "unknown":
		return "does not say what it persists (CONFIG GET appendonly)",
			"an in-process Redis persists nothing; a managed one may forbid CONFIG: then require no durability here and configure it there"
	case aof != "yes":
		return fmt.Sprintf("has appendonly %s and loses its data when it ends", aof), "set appendonly yes on the server"
	case fsync != "always" && (want == DurabilityStrict || fsync != "everysec"):
		return fmt.Sprintf("has appendfsync %s", fsync), "set appendfsync always on the server for strict, everysec for fast"
	}
	return "", ""
}
