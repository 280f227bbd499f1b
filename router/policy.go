package router

import (
	"fmt"
	"regexp"
	"time"

	"github.com/pitwheel/pitwheel/events"
)

// Policy is how the messages of a handler are processed. The zero value is right for
// most handlers: a field that is zero has the default named with it.
type Policy struct {
	// Queue is the name of the handler's queue. Default: the handler's name.
	Queue string
	// Concurrency is how many messages, all of different keys, are handled at
	// once by one instance: 1 to 10,000. Default: 64.
	Concurrency int
	// Attempts is how often a message is tried before it goes to the poison queue: 1 to
	// 100. Default: 10, which with the default pauses takes about six minutes: longer than
	// most restarts and the first refusal of a mail server that greylists.
	Attempts int
	// RetryIf reports whether another attempt may help after an error; if not, the message
	// goes to the poison queue at once. It is not called for [events.Permanent] and
	// [events.RetryAfter], which decide that themselves. It must be safe for concurrent
	// use. Nil: after every other error.
	RetryIf func(error) bool
	// Backoff is the pause before the second attempt: 1 ms to 1 h. Default: 1 s. It
	// doubles with every further attempt up to MaxBackoff: from Backoff to 1 h; default:
	// 2 min, or Backoff if that is longer. Pauses are spread by half to either side, so that
	// failures do not come in waves.
	//
	// During a pause of up to [Config].MaxInMemoryDelay the message waits in memory, in its
	// place among those of its key. During a longer one, and while 64 messages of the
	// handler wait in memory already, it waits at the broker: later messages of its key
	// are handled before it, unless the handler is Ordered.
	Backoff    time.Duration
	MaxBackoff time.Duration
	// Timeout bounds one attempt: 1 ms to 25 min, below the broker's own limit of
	// 30 min. Default: 30 s.
	Timeout time.Duration
	// BreakAfter opens the handler's circuit breaker after that many messages in a row
	// whose first attempt failed: 1 to 100,000. While it is open, the handler gets one
	// message as a probe every BreakPause (100 ms to 1 h; default: 10 s), the others wait,
	// and nothing counts as an attempt. 0: no circuit breaker.
	BreakAfter int
	BreakPause time.Duration
	// Rate bounds the attempts per second in one instance, up to 1,000,000. 0: no limit.
	Rate float64
	// Ordered keeps the order of each key across instances, too, by letting one instance
	// consume at a time, and through failures: while a message waits at the broker for its
	// next attempt, or is a poison message, later ones of its key are parked behind it
	// ([Parking]).
	Ordered bool
	// ContentID derives the id of a message that has none from its type and content, so that
	// of equal ones only the first is handled. Otherwise each counts as its own; one that
	// RabbitMQ delivers again after a crash cannot be told from another one, and is handled again.
	ContentID bool
	// Paused keeps the handler from consuming. Its messages wait in its queue.
	Paused bool
	// From is where a reaction begins when it is deployed for the first time. Default:
	// [Deployment].
	From From
}

// From is where in the log a new reaction begins. The beginning is recorded in the store:
// later changes of a declaration change nothing.
type From string

const (
	// Deployment hands a new reaction what is published from its first start on.
	Deployment From = "deployment"
	// Beginning hands a new reaction all events of its type that the log has. They are
	// delivered in the order of the log, but new ones meanwhile, too: of one aggregate a new
	// event may come before an old one.
	Beginning From = "beginning"
)

// Overrides are the settings of one handler that an operator has set. They take
// precedence over its declaration; a nil field leaves that in force. The fields are
// those of [Policy].
type Overrides struct {
	Concurrency *int
	Attempts    *int
	Backoff     *time.Duration
	MaxBackoff  *time.Duration
	Timeout     *time.Duration
	BreakAfter  *int
	BreakPause  *time.Duration
	Rate        *float64
	Paused      *bool
}

// The sources of a setting's value.
const (
	SourceDefault     = "default"
	SourceDeclaration = "declaration"
	SourceOperator    = "file"
)

// Setting is one effective setting of a handler: its name, its value, and where that
// comes from, one of the Source constants.
type Setting struct {
	Name   string
	Value  string
	Source string
}

const (
	defaultConcurrency = 64
	defaultAttempts    = 10
	defaultBackoff     = time.Second
	defaultMaxBackoff  = 2 * time.Minute
	defaultTimeout     = 30 * time.Second
	defaultBreakPause  = 10 * time.Second
	// The broker cancels a consumer that does not acknowledge a message for 30 minutes.
	maxTimeout = 25 * time.Minute
)

// queueName matches the names that both brokers and every dashboard accept.
var queueName = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9._-]{0,199}$`)

// retryQueue matches the names of delay queues on RabbitMQ.
var retryQueue = regexp.MustCompile(`\.retry\.[0-9]+[smh]$`)

// effective returns a declared policy with its defaults and overrides, all settings with
// their sources, and everything that is wrong with it.
func effective(handler string, declared Policy, overrides Overrides) (Policy, []Setting, []error) {
	p := declared
	var settings []Setting
	queueSource := SourceDeclaration
	if p.Queue == "" {
		p.Queue, queueSource = handler, SourceDefault
	}
	settings = append(settings, Setting{"queue", p.Queue, queueSource})
	settings = append(settings,
		resolve("concurrency", &p.Concurrency, overrides.Concurrency, defaultConcurrency),
		resolve("attempts", &p.Attempts, overrides.Attempts, defaultAttempts),
		resolve("backoff", &p.Backoff, overrides.Backoff, defaultBackoff),
		resolve("max_backoff", &p.MaxBackoff, overrides.MaxBackoff, max(defaultMaxBackoff, p.Backoff)),
		retryIf(p),
		resolve("timeout", &p.Timeout, overrides.Timeout, defaultTimeout),
		resolve("break_after", &p.BreakAfter, overrides.BreakAfter, 0),
		resolve("break_pause", &p.BreakPause, overrides.BreakPause, defaultBreakPause),
		resolve("rate", &p.Rate, overrides.Rate, 0),
		resolve("ordered", &p.Ordered, nil, false),
		resolve("content_id", &p.ContentID, nil, false),
		resolve("paused", &p.Paused, overrides.Paused, false),
		resolve("from", &p.From, nil, Deployment),
	)
	return p, settings, p.validate()
}

// resolve sets value to the override, if there is one, or to the default, if it is zero,
// and returns the setting.
func resolve[T comparable](name string, value *T, override *T, fallback T) Setting {
	var zero T
	source := SourceDeclaration
	switch {
	case override != nil:
		*value, source = *override, SourceOperator
	case *value == zero:
		*value, source = fallback, SourceDefault
	}
	return Setting{name, fmt.Sprint(*value), source}
}

// retryIf returns the setting that shows whether RetryIf is set.
func retryIf(p Policy) Setting {
	if p.RetryIf != nil {
		return Setting{"retry_if", "chosen errors", SourceDeclaration}
	}
	return Setting{"retry_if", "every error", SourceDefault}
}

// validate returns everything that is wrong with an effective policy.
func (p Policy) validate() []error {
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, events.Errorf(events.CodeConfig, format, args...))
		}
	}
	check(queueName.MatchString(p.Queue), "queue is %q; use letters, digits, '.', '_' and '-', at most 200", p.Queue)
	check(!retryQueue.MatchString(p.Queue), "queue is %q; a name like that is for messages that wait for their next attempt", p.Queue)
	check(!events.IsPoisonQueue(p.Queue), "queue is %q; a name that ends in %s is that of a poison queue", p.Queue, events.PoisonQueue(""))
	check(p.Concurrency >= 1 && p.Concurrency <= 10_000, "concurrency is %d; it must be 1 to 10000", p.Concurrency)
	check(p.Attempts >= 1 && p.Attempts <= 100, "attempts is %d; it must be 1 to 100", p.Attempts)
	check(p.Backoff >= time.Millisecond && p.Backoff <= time.Hour, "backoff is %s; it must be 1ms to 1h", p.Backoff)
	check(p.MaxBackoff >= p.Backoff && p.MaxBackoff <= time.Hour, "max_backoff is %s; it must be at least backoff (%s) and at most 1h", p.MaxBackoff, p.Backoff)
	check(p.Timeout >= time.Millisecond && p.Timeout <= maxTimeout, "timeout is %s; it must be 1ms to %s", p.Timeout, maxTimeout)
	check(p.BreakAfter >= 0 && p.BreakAfter <= 100_000, "break_after is %d; it must be 1 to 100000, or 0 for no breaker", p.BreakAfter)
	check(p.BreakPause >= probePause && p.BreakPause <= time.Hour, "break_pause is %s; it must be %s to 1h", p.BreakPause, probePause)
	check(p.From == Deployment || p.From == Beginning, "from is %q; it must be router.Deployment or router.Beginning", p.From)
	// NaN is neither.
	check(p.Rate >= 0 && p.Rate <= 1_000_000, "rate is %g messages a second; it must be above 0 and at most 1000000, or 0 for no limit", p.Rate)
	return errs
}
