package cli

import (
	"fmt"
	"net"
	netmail "net/mail"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pitwheel/pitwheel/infra/mail"
	"github.com/pitwheel/pitwheel/router"
)

// settings is all that can be set from outside, checked.
type settings struct {
	AMQPURL      string
	RedisURL     string
	HTTPAddr     string
	SMTPURL      string
	Namespace    string
	DevRedisAddr string
	DevSMTPAddr  string
	MailFrom     string
	LogLevel     string
	LogFormat    string // empty: text on a terminal, else JSON
	DrainTimeout time.Duration
	QueueType    string
	Durability   string
	Partitions   int // 0: the store's
	MaxBytes     int // of a message's body
	// Handlers is what operators set for single handlers. It comes from the file only.
	Handlers map[string]router.Overrides
	// given are the keys that somebody set; the others have their default.
	given map[string]bool
}

// setting is one of them. Its key is the name in the file; upper case with
// PITWHEEL_ before it in the environment; with dashes as a flag.
type setting struct {
	key string
	// client says that it also concerns the commands that talk to what runs.
	client   bool
	fallback string
	usage    string
	// set checks a value and takes it over. Its error does not repeat the value
	// where that could be a secret.
	set func(*settings, string) error
}

// known lists every setting. README's table "Settings" repeats it.
func known() []setting {
	return []setting{
		{"amqp_url", true, "", "RabbitMQ, amqp:// or amqps://; empty: commands and reactions travel over Redis Streams",
			optional(brokerURL(func(s *settings) *string { return &s.AMQPURL }, "amqp", "amqps"))},
		{"redis_url", true, "", "Redis, redis:// or rediss://, several hosts separated by commas: Redis Cluster (default the local pitwheel dev)",
			optional(brokerURL(func(s *settings) *string { return &s.RedisURL }, "redis", "rediss"))},
		{"http_addr", false, "127.0.0.1:8080", "where commands, queries, health and metrics are served",
			address(func(s *settings) *string { return &s.HTTPAddr })},
		{"smtp_url", false, "", "mail server, smtp:// or smtps://; empty: mail is discarded",
			optional(brokerURL(func(s *settings) *string { return &s.SMTPURL }, "smtp", "smtps"))},
		{"namespace", true, "", "prefix of every exchange, queue and key",
			optional(pattern(func(s *settings) *string { return &s.Namespace }, `^[a-zA-Z0-9][a-zA-Z0-9_-]{0,62}$`, "letters, digits, '-' and '_', at most 63"))},
		{"dev_redis_addr", true, "127.0.0.1:6389", "where dev serves its in-process Redis",
			address(func(s *settings) *string { return &s.DevRedisAddr })},
		{"dev_smtp_addr", false, "127.0.0.1:1025", "where dev catches mail",
			address(func(s *settings) *string { return &s.DevSMTPAddr })},
		{"mail_from", false, mail.DefaultFrom, "sender of every mail", setMailFrom},
		{"log_level", false, "info", "debug, info, warn or error; dev starts at warn",
			oneOf(func(s *settings) *string { return &s.LogLevel }, "debug", "info", "warn", "error")},
		{"log_format", false, "", "text or json; empty: text on a terminal, else json",
			optional(oneOf(func(s *settings) *string { return &s.LogFormat }, "text", "json"))},
		{"drain_timeout", false, "25s", "how long a stop waits for running handlers, 0s to 10m", setDrainTimeout},
		{"queue_type", false, "quorum", "RabbitMQ queue type, quorum or classic; fixed once a queue exists",
			oneOf(func(s *settings) *string { return &s.QueueType }, "quorum", "classic")},
		{"durability", false, "", "what Redis must keep: fast (what is older than 1 s survives a crash) or strict (everything); empty: no demand",
			optional(oneOf(func(s *settings) *string { return &s.Durability }, "fast", "strict"))},
		{"partitions", false, "", "partitions of the log, 1 to 1024, fixed when the store is made; empty: the store's, 16 for a new one",
			optional(setPartitions)},
		{"max_message_bytes", true, strconv.Itoa(router.DefaultMaxBytes), "how large a message may be, 1024 to 134217728 bytes; a larger one is refused, or set aside after one attempt", setMaxBytes},
	}
}

func (s setting) env() string { return "PITWHEEL_" + strings.ToUpper(s.key) }

func (s setting) flag() string { return strings.ReplaceAll(s.key, "_", "-") }

// redisURL is the Redis that everything but dev talks to.
func (s *settings) redisURL() string {
	if s.RedisURL != "" {
		return s.RedisURL
	}
	return "redis://" + s.DevRedisAddr
}

// optional lets an empty value pass.
func optional(set func(*settings, string) error) func(*settings, string) error {
	return func(s *settings, v string) error {
		if v == "" {
			return nil
		}
		return set(s, v)
	}
}

// brokerURL checks scheme and hosts. The value may hold a password, so that no
// error repeats it.
func brokerURL(into func(*settings) *string, schemes ...string) func(*settings, string) error {
	return func(s *settings, v string) error {
		scheme, rest, ok := strings.Cut(v, "://")
		if !ok || !slices.Contains(schemes, scheme) {
			return fmt.Errorf("must start with %s://", strings.Join(schemes, ":// or "))
		}
		// Several hosts are no URL, so that each is looked at on its own.
		authority, tail := rest, ""
		if i := strings.IndexAny(rest, "/?#"); i >= 0 {
			authority, tail = rest[:i], rest[i:]
		}
		user := ""
		if i := strings.LastIndex(authority, "@"); i >= 0 {
			user, authority = authority[:i+1], authority[i+1:]
		}
		hosts := strings.Split(authority, ",")
		if len(hosts) > 1 && !strings.HasPrefix(scheme, "redis") {
			return fmt.Errorf("must name one host")
		}
		for _, h := range hosts {
			u, err := url.Parse(scheme + "://" + user + h + tail)
			switch {
			case err != nil:
				return fmt.Errorf("is no URL; in the password, write every character but letters and digits as %%XX")
			case u.Hostname() == "":
				return fmt.Errorf("names no host")
			case u.Port() != "" && !isPort(u.Port()):
				return fmt.Errorf("has the port %s; it must be 1 to 65535", u.Port())
			}
		}
		*into(s) = v
		return nil
	}
}

func isPort(p string) bool {
	n, err := strconv.Atoi(p)
	return err == nil && n > 0 && n <= 65535
}

func address(into func(*settings) *string) func(*settings, string) error {
	return func(s *settings, v string) error {
		_, port, err := net.SplitHostPort(v)
		if err != nil {
			return fmt.Errorf("is %q; it must be host:port, such as 127.0.0.1:8080", v)
		}
		if port != "0" && !isPort(port) {
			return fmt.Errorf("is %q; the port must be 0 to 65535", v)
		}
		*into(s) = v
		return nil
	}
}

func pattern(into func(*settings) *string, expr, words string) func(*settings, string) error {
	re := regexp.MustCompile(expr)
	return func(s *settings, v string) error {
		if !re.MatchString(v) {
			return fmt.Errorf("is %q; use %s", v, words)
		}
		*into(s) = v
		return nil
	}
}

func oneOf(into func(*settings) *string, values ...string) func(*settings, string) error {
	return func(s *settings, v string) error {
		if !slices.Contains(values, v) {
			return fmt.Errorf("is %q; it must be %s", v, strings.Join(values, " or "))
		}
		*into(s) = v
		return nil
	}
}

func setMailFrom(s *settings, v string) error {
	if _, err := netmail.ParseAddress(v); err != nil {
		return fmt.Errorf("is %q; it must be an address such as Pitwheel <pitwheel@example.com>", v)
	}
	s.MailFrom = v
	return nil
}

func setDrainTimeout(s *settings, v string) error {
	d, err := time.ParseDuration(v)
	if err != nil || d < 0 || d > 10*time.Minute {
		return fmt.Errorf("is %q; it must be a duration from 0s to 10m, such as 25s", v)
	}
	s.DrainTimeout = d
	return nil
}

// setMaxBytes takes no more than RabbitMQ does at best.
func setMaxBytes(s *settings, v string) error {
	const least, most = 1 << 10, 128 << 20
	n, err := strconv.Atoi(v)
	if err != nil || n < least || n > most {
		return fmt.Errorf("is %q; it must be a number of bytes from %d to %d", v, least, most)
	}
	s.MaxBytes = n
	return nil
}

func setPartitions(s *settings, v string) error {
	n, err := strconv.Atoi(v)
	if err != nil || n < 1 || n > 1024 {
		return fmt.Errorf("is %q; it must be a number from 1 to 1024", v)
	}
	s.Partitions = n
	return nil
}
