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

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router/internal/panics"
	"github.com/pitwheel/pitwheel/router/internal/text"
	"github.com/pitwheel/pitwheel/router/poison"
)

const (
	// Bounds of texts, in bytes. All headers travel in one AMQP frame, of 128 KiB by
	// default.
	maxCode   = 64
	maxName   = 512
	maxReason = 2 << 10
	// maxMetadata bounds all metadata of a message that brings too much itself.
	maxMetadata = 32 << 10
	// poisonTimeout bounds the publishing and storing of a poison message; after that
	// the message is given back and tried again.
	poisonTimeout = 15 * time.Second
)

// poison sends a message that failed permanently to the poison queue, whole. It is
// acknowledged only after the broker has confirmed that.
func (c *consumer) poison(next stage) stage {
	return func(ctx context.Context, d *delivery) result {
		r := next(ctx, d)
		if r.action != actionPoison {
			return r
		}
		ctx, cancel := d.detached()
		defer cancel()
		if err := c.place(d, events.PlacePoison, time.Time{}); err != nil {
			return abort(err)
		}
		if err := c.poisonQueue.send(ctx, d.msg, failure{r.err, d.attempts, d.firstFailed}); err != nil {
			c.logger.ErrorContext(d, "message not sent to the poison queue, it is kept and tried again", d.attrs(slog.Any("error", err))...)
			return abort(err)
		}
		c.logger.ErrorContext(d, "message sent to the poison queue", d.attrs(
			slog.String(poison.LogKey, poison.ID(d.handler, d.envelope.ID)),
			slog.String("queue", c.poisonQueue.name()), slog.Int("attempts", d.attempts),
			slog.String("code", codeOf(r.err)), slog.String("error", text.Cut(r.err.Error(), maxReason)))...)
		return ack(outcomePoisoned)
	}
}

// failure is why and how often a message failed.
type failure struct {
	err      error
	attempts int
	first    time.Time // of the first attempt that failed; zero: now
}

// poisonQueue is the poison queue of one handler.
type poisonQueue struct {
	handler, queue, topic string // queue is that of the handler
	publisher             message.Publisher
}

func newPoisonQueue(p *plan, publisher message.Publisher) poisonQueue {
	return poisonQueue{p.name, p.policy.Queue, p.topic, publisher}
}

func (q poisonQueue) name() string { return events.PoisonQueue(q.queue) }

// detached returns the context in which a message is sent to the poison queue: for at most
// 15 s, not interrupted by a stop, or little longer than the caller waits that there is.
func (d *delivery) detached() (context.Context, context.CancelFunc) {
	if d.executed {
		return withGrace(d.Context)
	}
	return context.WithTimeout(context.WithoutCancel(d.Context), poisonTimeout)
}

// send publishes a message with the failure in its metadata.
func (q poisonQueue) send(ctx context.Context, msg *message.Message, f failure) error {
	poisoned := msg.Copy()
	poisoned.SetContext(ctx)
	q.describe(poisoned.Metadata, f)
	err := q.publisher.Publish(q.name(), poisoned)
	if events.CodeOf(err) != events.CodeInvalid {
		return err
	}
	// A foreign message may have so much metadata that the transport cannot carry more.
	// Without the largest of it, it can; otherwise the message would come back forever.
	slim := poisoned.Copy()
	slim.SetContext(ctx)
	leaveOut(slim.Metadata, maxMetadata)
	return q.publisher.Publish(q.name(), slim)
}

// describe writes a failure into the metadata of a message.
func (q poisonQueue) describe(meta message.Metadata, f failure) {
	for _, name := range []string{events.MetaAttempts, events.MetaFirstFailed, events.MetaDue, events.MetaParked} {
		delete(meta, name) // Poison messages have metadata of their own for these.
	}
	now := time.Now()
	if f.first.IsZero() {
		f.first = now
	}
	var stack string
	var panicked *panics.Error
	if errors.As(f.err, &panicked) {
		stack = panicked.Stack
	}
	for key, value := range map[string]string{
		poison.MetaHandler:     q.handler,
		poison.MetaQueue:       q.queue,
		poison.MetaTopic:       q.topic,
		poison.MetaCode:        codeOf(f.err),
		poison.MetaReason:      text.Cut(f.err.Error(), maxReason),
		poison.MetaStack:       stack,
		poison.MetaAttempts:    strconv.Itoa(f.attempts),
		poison.MetaFirstFailed: f.first.UTC().Format(events.TimeLayout),
		poison.MetaLastFailed:  now.UTC().Format(events.TimeLayout),
	} {
		if value != "" {
			meta[key] = value
		}
	}
}

// leaveOut removes the largest metadata until the rest has at most n bytes, and adds
// the names of what it removed. Identifying metadata is short and stays.
func leaveOut(m message.Metadata, n int) {
	size := func(name string) int { return len(name) + len(m[name]) }
	names := slices.SortedFunc(maps.Keys(m), func(a, b string) int { return cmp.Or(size(a)-size(b), strings.Compare(a, b)) })
	var removed []string
	for _, name := range names {
		if n -= size(name); n < 0 {
			removed = append(removed, text.Cut(name, maxCode))
			delete(m, name)
		}
	}
	if len(removed) > 0 {
		m[poison.MetaLeftOut] = text.Cut(strings.Join(removed, " "), maxReason)
	}
}

// codeOf returns the code of a failure, for searching and grouping. Handlers may give
// codes of their own, so it is bounded.
func codeOf(err error) string {
	if r, ok := events.AsRejection(err); ok {
		return text.Cut(r.Code, maxCode)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return events.CodeTimeout
	}
	return text.Cut(events.CodeOf(err), maxCode)
}
