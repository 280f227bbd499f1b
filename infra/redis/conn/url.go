package conn

import (
	"cmp"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/pitwheel/pitwheel/events"
)

// parseURL reads redis://user:password@host:port,host:port/db?option=value. Its
// errors have the code CONFIG and show nothing of the URL, since a URL that does
// not parse cannot be told apart from its password.
func parseURL(raw string) (*redis.UniversalOptions, error) {
	wrong := func(why string) error {
		return events.Errorf(events.CodeConfig, "the Redis URL %s", why).WithField("URL").
			WithHint("it looks like redis://user:password@host:6379/0, or rediss:// for TLS; several hosts separated by commas are a Redis Cluster")
	}
	scheme, rest, ok := strings.Cut(raw, "://")
	switch {
	case raw == "":
		return nil, wrong("is empty")
	case !ok || scheme != "redis" && scheme != "rediss":
		return nil, wrong("must start with redis:// or rediss://")
	}
	user, hosts := "", rest
	if at := strings.LastIndex(rest, "@"); at >= 0 {
		user, hosts = rest[:at+1], rest[at+1:]
	}
	tail := ""
	if end := strings.IndexAny(hosts, "/?"); end >= 0 {
		hosts, tail = hosts[:end], hosts[end:]
	}
	var opts *redis.Options
	var addrs []string
	for host := range strings.SplitSeq(hosts, ",") {
		one, err := redis.ParseURL(scheme + "://" + user + host + tail)
		if err != nil {
			return nil, wrong("is not valid")
		}
		if opts == nil {
			opts = one
		}
		addrs = append(addrs, one.Addr)
	}
	if len(addrs) > 1 && opts.DB != 0 {
		return nil, wrong("names several hosts and a database; a Redis Cluster has only the database 0")
	}
	return &redis.UniversalOptions{
		Addrs: addrs, DB: opts.DB, Username: opts.Username, Password: opts.Password,
		TLSConfig: opts.TLSConfig, ClientName: opts.ClientName,
		// The replies of RESP3 differ in shape where we read them ourselves.
		Protocol: 2, DisableIdentity: true,
		DialTimeout: cmp.Or(opts.DialTimeout, 3*time.Second), DialerRetries: 1,
		ReadTimeout: cmp.Or(opts.ReadTimeout, 5*time.Second), WriteTimeout: cmp.Or(opts.WriteTimeout, 5*time.Second),
		// If the client repeated a read of a consumer group by itself, the messages of the
		// lost reply would stay pending, unnoticed. Execute repeats what may be repeated.
		MaxRetries: -1, ContextTimeoutEnabled: true,
		// Each reader that waits for something holds a connection. This is a bound:
		// connections are made only as they are needed.
		PoolSize: cmp.Or(opts.PoolSize, 1000),
	}, nil
}
