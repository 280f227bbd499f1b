package redisdb

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"github.com/pitwheel/pitwheel/events"
)

// What [Config].Durability can ask for.
const (
	DurabilityFast   = "fast"
	DurabilityStrict = "strict"
)

func validDurability(want string) error {
	switch want {
	case "", DurabilityFast, DurabilityStrict:
		return nil
	}
	return events.Errorf(events.CodeConfig, `the durability is %q; it must be "fast", "strict" or empty`, want)
}

// probeDurability asks the server what it keeps, and refuses it if that is less
// than what is wanted.
func (s *Store) probeDurability(ctx context.Context, want string) error {
	has := map[string]string{}
	for _, name := range []string{"appendonly", "appendfsync", "maxmemory-policy"} {
		got, err := s.client.ConfigGet(ctx, name).Result()
		if _, said := replyError(err); err != nil && !said {
			return s.link.explain(err)
		}
		has[name] = cmp.Or(got[name], "unknown") // Not every server tells.
	}
	if want == "" {
		s.log.InfoContext(ctx, "no durability is asked of Redis", "addr", s.link.addrs,
			"appendonly", has["appendonly"], "appendfsync", has["appendfsync"], "maxmemory_policy", has["maxmemory-policy"])
		return nil
	}
	if why, hint := shortfall(want, has); why != "" {
		return events.Errorf(events.CodeConfig, "the durability %q is asked for, but Redis at %s %s", want, s.link.addrs, why).WithHint("%s", hint)
	}
	return nil
}

// shortfall says what a server with the given settings lacks, and the way out.
func shortfall(want string, has map[string]string) (why, hint string) {
	aof, fsync, policy := has["appendonly"], has["appendfsync"], has["maxmemory-policy"]
	switch {
	case aof == "unknown":
		return "does not tell what it keeps (CONFIG GET appendonly)",
			"an in-process Redis keeps nothing; a managed one may forbid CONFIG: then ask for no durability here and see to it there"
	case aof != "yes":
		return fmt.Sprintf("has appendonly %s and loses what it holds when it ends", aof), "set appendonly yes on the server"
	case fsync != "always" && (want == DurabilityStrict || fsync != "everysec"):
		return fmt.Sprintf("has appendfsync %s", fsync), "set appendfsync always on the server for strict, everysec for fast"
	case strings.HasPrefix(policy, "allkeys"):
		return fmt.Sprintf("has maxmemory-policy %s and may throw away events", policy), "set maxmemory-policy noeviction on the server"
	}
	return "", ""
}
