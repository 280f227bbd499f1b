package router

import (
	"fmt"
	"regexp"
	"time"

	"github.com/pitwheel/pitwheel/events"
)

// Policy says how a handler is treated. The zero value is right for most; a
// field that is zero takes the default named beside it.
type Policy struct {
	// Queue is the queue's name. Default: the handler's name.
	Queue string
	// Concurrency is how many messages, all of different keys, are handled at
	// once by one instance: 1 to 10,000. Default: 64.
	Concurrency int
	// Attempts is how often a message is tried before it is poisoned, whether it
	// rests in its lane in between or waits at the broker: 1 to 100. Default: 5.
	Attempts int
	// RetryIf tells whether another attempt may help after an error; if not, the
	// message is poisoned at once. It is not asked about [events.Permanent], which
	// never helps, nor about [events.RetryAfter], which says itself that it may. It
	// must be safe for concurrent use. Nil: every other error may pass.
	RetryIf func(error) bool
	// Backoff is the pause before the second attempt: 1 ms to 1 h, default 100 ms. It
	// doubles with every further one up to MaxBackoff, which is from Backoff to 1 h,
	// default 10 s, or Backoff if that is longer; and it is spread by half to either
	// side so that failures do not come in waves. A pause beyond [Config].MaxInMemoryDelay, or
	// one that begins while 64 messages of the handler rest already, is spent at the
	// broker, where later messages of the same key pass it, unless the handler is
	// Ordered.
	Backoff    time.Duration
	MaxBackoff time.Duration
	// Timeout bounds one attempt: 1 ms to 25 min, below the broker's own limit of
	// 30 min. Default: 30 s.
	Timeout time.Duration
	// BreakAfter opens the handler's breaker after that many messages in a row whose
	// first attempt failed: 1 to 100,000. While it is open, the handler gets one
	// message as a probe every BreakPause (100 ms to 1 h; default: 10 s), the others
	// wait, and nothing counts as an attempt. 0: no breaker.
	BreakAfter int
	BreakPause time.Duration
	// Rate is how many messages a second one instance hands to the handler, up to
	// 1,000,000. 0: no limit.
	Rate float64
	// Ordered keeps the order of each key across instances too, by letting one
	// instance consume at a time, and through failures: while a message waits at the
	// broker for its next attempt, or sits in poison, later ones of its key are
	// parked behind it ([Parking]).
	Ordered bool
	// Paused starts the handler without consuming. What arrives waits in its queue.
	Paused bool
}

// Overrides is what an operator sets for one handler, over what its declaration
// says. A nil field leaves the declaration in force.
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

// Where the value of a setting came from.
const (
	SourceDefault     = "default"
	SourceDeclaration = "declaration"
	SourceOperator    = "file"
)

// Setting is one effective setting of a handler.
type Setting struct {
	Name   string
	Value  string
	Source string
}

const (
	defaultConcurrency = 64
	defaultAttempts    = 5
	defaultBackoff     = 100 * time.Millisecond
	defaultMaxBackoff  = 10 * time.Second
	defaultTimeout     = 30 * time.Second
	defaultBreakPause  = 10 * time.Second
	// The broker cuts a consumer off that holds a message for 30 minutes.
	maxTimeout = 25 * time.Minute
)

// queueName is what both brokers and every dashboard take as a name.
var queueName = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9._-]{0,199}$`)

// retryQueue is how the names of queues end in which RabbitMQ lets messages wait.
var retryQueue = regexp.MustCompile(`\.retry\.[0-9]+[smh]$`)

// effective lays tuning over a declaration over the defaults and tells for every
// setting where it came from.
func effective(handler string, declared Policy, tuning Overrides) (Policy, []Setting, error) {
	p := declared
	var settings []Setting
	queueSource := SourceDeclaration
	if p.Queue == "" {
		p.Queue, queueSource = handler, SourceDefault
	}
	settings = append(settings, Setting{"queue", p.Queue, queueSource})
	settings = append(settings,
		settle("concurrency", &p.Concurrency, tuning.Concurrency, defaultConcurrency),
		settle("attempts", &p.Attempts, tuning.Attempts, defaultAttempts),
		settle("backoff", &p.Backoff, tuning.Backoff, defaultBackoff),
		settle("max_backoff", &p.MaxBackoff, tuning.MaxBackoff, max(defaultMaxBackoff, p.Backoff)),
		retryIf(p),
		settle("timeout", &p.Timeout, tuning.Timeout, defaultTimeout),
		settle("break_after", &p.BreakAfter, tuning.BreakAfter, 0),
		settle("break_pause", &p.BreakPause, tuning.BreakPause, defaultBreakPause),
		settle("rate", &p.Rate, tuning.Rate, 0),
		settle("ordered", &p.Ordered, nil, false),
		settle("paused", &p.Paused, tuning.Paused, false),
	)
	return p, settings, p.validate()
}

// settle fills one setting in and tells where it came from.
func settle[T comparable](name string, value *T, tuned *T, fallback T) Setting {
	var zero T
	source := SourceDeclaration
	switch {
	case tuned != nil:
		*value, source = *tuned, SourceOperator
	case *value == zero:
		*value, source = fallback, SourceDefault
	}
	return Setting{name, fmt.Sprint(*value), source}
}

// retryIf says whether the handler chooses which errors are worth another attempt.
func retryIf(p Policy) Setting {
	if p.RetryIf != nil {
		return Setting{"retry_if", "chosen errors", SourceDeclaration}
	}
	return Setting{"retry_if", "every error", SourceDefault}
}

func (p Policy) validate() error {
	switch {
	case !queueName.MatchString(p.Queue):
		return events.Errorf(events.CodeConfig, "queue is %q; use letters, digits, '.', '_' and '-', at most 200", p.Queue)
	case retryQueue.MatchString(p.Queue):
		return events.Errorf(events.CodeConfig, "queue is %q; a name like that is for messages that wait for their next attempt", p.Queue)
	case events.IsPoisonQueue(p.Queue):
		return events.Errorf(events.CodeConfig, "queue is %q; a name that ends in %s is that of a poison queue", p.Queue, events.PoisonQueue(""))
	case p.Concurrency < 1 || p.Concurrency > 10_000:
		return events.Errorf(events.CodeConfig, "concurrency is %d; it must be 1 to 10000", p.Concurrency)
	case p.Attempts < 1 || p.Attempts > 100:
		return events.Errorf(events.CodeConfig, "attempts is %d; it must be 1 to 100", p.Attempts)
	case p.Backoff < time.Millisecond || p.Backoff > time.Hour:
		return events.Errorf(events.CodeConfig, "backoff is %s; it must be 1ms to 1h", p.Backoff)
	case p.MaxBackoff < p.Backoff || p.MaxBackoff > time.Hour:
		return events.Errorf(events.CodeConfig, "max_backoff is %s; it must be at least backoff (%s) and at most 1h", p.MaxBackoff, p.Backoff)
	case p.Timeout < time.Millisecond || p.Timeout > maxTimeout:
		return events.Errorf(events.CodeConfig, "timeout is %s; it must be 1ms to %s", p.Timeout, maxTimeout)
	case p.BreakAfter < 0 || p.BreakAfter > 100_000:
		return events.Errorf(events.CodeConfig, "break_after is %d; it must be 1 to 100000, or 0 for no breaker", p.BreakAfter)
	case p.BreakPause < probePause || p.BreakPause > time.Hour:
		return events.Errorf(events.CodeConfig, "break_pause is %s; it must be %s to 1h", p.BreakPause, probePause)
	case !(p.Rate >= 0 && p.Rate <= 1_000_000): // NaN is neither.
		return events.Errorf(events.CodeConfig, "rate is %g messages a second; it must be above 0 and at most 1000000, or 0 for no limit", p.Rate)
	}
	return nil
}
