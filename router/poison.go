package router

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router/poison"
)

const (
	// A header travels in one AMQP frame, of 128 KiB by default, with all others.
	maxCode   = 64
	maxReason = 2 << 10
	maxStack  = 4 << 10
	// maxBeside bounds all of them where the message brings too much itself.
	maxBeside = 32 << 10
	// publishing a letter is waited for no longer than this; then the message is
	// given back and tried again.
	letterTimeout = 15 * time.Second
)

// poison sets a message aside whole that failed for good. Only when the letter is
// safe is the message acknowledged.
func (c *consumer) poison(next message.HandlerFunc) message.HandlerFunc {
	return func(msg *message.Message) ([]*message.Message, error) {
		out, err := next(msg)
		if err == nil {
			return out, nil
		}
		d := deliveryOf(msg.Context())
		var given aborted
		if errors.As(err, &given) {
			return nil, err
		}
		if perr := c.setAside(d, msg, err); perr != nil {
			c.logger.ErrorContext(d, "poison letter not published, the message is kept and tried again", c.attrs(d, slog.Any("error", perr))...)
			return nil, aborted{perr}
		}
		d.verdict = verdictPoisoned
		c.logger.ErrorContext(d, "message poisoned", c.attrs(d,
			slog.String("queue", events.PoisonQueue(c.plan.policy.Queue)), slog.Int("attempts", d.attempts),
			slog.String("code", codeOf(err)), slog.String("error", bounded(err.Error(), maxReason)))...)
		return nil, nil
	}
}

func (c *consumer) setAside(d *delivery, msg *message.Message, cause error) error {
	letter := msg.Copy()
	delete(letter.Metadata, events.MetaAttempts) // The letter has its own words for these.
	delete(letter.Metadata, events.MetaFirstFailed)
	delete(letter.Metadata, events.MetaDue)
	delete(letter.Metadata, events.MetaParked)
	now := time.Now()
	if d.firstFailed.IsZero() {
		d.firstFailed = now
	}
	for key, value := range map[string]string{
		poison.MetaHandler:     c.plan.name,
		poison.MetaQueue:       c.plan.policy.Queue,
		poison.MetaTopic:       c.plan.topic,
		poison.MetaCode:        codeOf(cause),
		poison.MetaReason:      bounded(cause.Error(), maxReason),
		poison.MetaStack:       d.stack,
		poison.MetaAttempts:    strconv.Itoa(d.attempts),
		poison.MetaFirstFailed: d.firstFailed.UTC().Format(events.TimeLayout),
		poison.MetaLastFailed:  now.UTC().Format(events.TimeLayout),
	} {
		if value != "" {
			letter.Metadata[key] = value
		}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(d.Context), letterTimeout)
	defer cancel()
	letter.SetContext(ctx)
	err := c.letters.Publish(events.PoisonQueue(c.plan.policy.Queue), letter)
	if events.CodeOf(err) != events.CodeInvalid {
		return err
	}
	// A foreign message may bring so much beside its body that nothing more can be
	// carried. Without the most of that it can; as it is, it would come back for ever.
	slim := letter.Copy()
	slim.SetContext(ctx)
	leaveOut(slim.Metadata, maxBeside)
	return c.letters.Publish(events.PoisonQueue(c.plan.policy.Queue), slim)
}

// leaveOut removes the largest metadata until the rest has at most n bytes, and adds
// the names of what is gone. What a message is called by is short and stays.
func leaveOut(m message.Metadata, n int) {
	size := func(name string) int { return len(name) + len(m[name]) }
	names := slices.SortedFunc(maps.Keys(m), func(a, b string) int { return cmp.Or(size(a)-size(b), strings.Compare(a, b)) })
	var gone []string
	for _, name := range names {
		if n -= size(name); n < 0 {
			gone = append(gone, bounded(name, maxCode))
			delete(m, name)
		}
	}
	if len(gone) > 0 {
		m[poison.MetaLeftOut] = bounded(strings.Join(gone, " "), maxReason)
	}
}

// codeOf is the code of a failure, for people who search and group. Handlers may
// make up their own, so it is bounded.
func codeOf(err error) string {
	if r, ok := events.AsRejection(err); ok {
		return bounded(r.Code, maxCode)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return events.CodeTimeout
	}
	return bounded(events.CodeOf(err), maxCode)
}

// bounded cuts a text to at most n bytes of valid UTF-8.
func bounded(s string, n int) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}

// attrs are what every log line about a delivery says.
func (c *consumer) attrs(d *delivery, more ...slog.Attr) []any {
	out := make([]any, 0, 4+len(more))
	out = append(out,
		slog.String("handler", c.plan.name),
		slog.String("type", d.envelope.Type),
		slog.String("message_id", d.envelope.ID),
		slog.String("correlation_id", d.envelope.CorrelationID),
	)
	for _, a := range more {
		out = append(out, a)
	}
	return out
}
