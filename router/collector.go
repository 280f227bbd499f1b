package router

import (
	"context"
	"log/slog"
	"maps"
	"strconv"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router/internal/codec"
	"github.com/pitwheel/pitwheel/router/internal/panics"
	"github.com/pitwheel/pitwheel/router/internal/text"
	"github.com/pitwheel/pitwheel/router/poison"
)

// collectorPrefix begins the names under which poison queues are consumed. Handlers
// cannot have such names.
const collectorPrefix = "poison:"

// Few poison messages are prefetched: each has a whole message, and nobody waits for
// them.
const (
	collectorPrefetch    = 32
	collectorConcurrency = 8
)

// poisonCollector moves the messages of one handler's poison queue into the poison
// store. A message is acknowledged once the store has it.
type poisonCollector struct {
	plan     *plan
	sub      Subscriber
	store    PoisonStore
	parking  Parking  // nil: none
	account  *account // nil: none
	key      func(*message.Message) string
	receiver codec.Receiver // that of the handler
	logger   *slog.Logger
}

// collector returns the collector of a handler of any kind.
func (r *Router) collector(p *plan) (*poisonCollector, error) {
	sub, err := r.config.Transport.Subscriber(Subscription{
		Handler: collectorPrefix + p.name, Queue: events.PoisonQueue(p.policy.Queue), Concurrency: collectorConcurrency, Prefetch: collectorPrefetch,
		Key: func(*message.Message) string { return "" }, // Any order will do.
	})
	if err != nil {
		return nil, events.Errorf(events.CodeOf(err), "the poison queue of handler %q: %w", p.name, err)
	}
	c := &poisonCollector{plan: p, sub: sub, store: r.config.Poison, account: r.account(p), key: keyOf(r.config.Catalogue), receiver: receiverOf(p, r.config.MaxBytes), logger: r.config.Logger}
	if p.blocked != nil {
		c.parking = r.config.Parking
	}
	return c, nil
}

func (c *poisonCollector) name() string { return collectorPrefix + c.plan.name }

// collect stores one message of the poison queue.
func (c *poisonCollector) collect(msg *message.Message) error {
	if msg.Metadata[events.MetaMark] != "" {
		return nil // The auditor sends another one.
	}
	ctx, cancel := context.WithTimeout(msg.Context(), poisonTimeout)
	defer cancel()
	m := c.read(msg, time.Now())
	at, owed, err := c.account.locate(ctx, msg.Metadata)
	if err != nil {
		return err
	}
	if owed { // The broker may have sent it here by itself.
		if err := c.account.ledger.SetPlace(ctx, c.plan.name, at, events.Place{Kind: events.PlacePoison}); err != nil {
			return err
		}
	}
	if c.parking != nil && m.Source == poison.FromBroker && m.Key != "" {
		// The pipeline has blocked the key of a message that it sent here itself.
		if _, err := c.parking.BlockKey(ctx, c.plan.name, m.Key, m.MessageID); err != nil {
			return err
		}
		c.plan.blocked.add()
	}
	if err := c.store.StorePoison(ctx, m); err != nil {
		return err
	}
	if m.Source == poison.FromBroker { // What the router sent here is logged already.
		c.logger.ErrorContext(ctx, "message sent to the poison queue by the broker", slog.String("handler", m.Handler), slog.String("type", m.Type),
			slog.String("message_id", m.MessageID), slog.String("correlation_id", m.CorrelationID), slog.String(poison.LogKey, m.ID),
			slog.String("code", m.Code), slog.String("error", m.Reason))
	}
	return nil
}

// read reads a message of the poison queue, which the router, the broker or anybody else
// may have put there.
func (c *poisonCollector) read(msg *message.Message, now time.Time) poison.Message {
	meta := maps.Clone(msg.Metadata)
	dead := deathOf(meta)
	if dead != nil {
		dead.restoreType(meta, events.PoisonQueue(c.plan.policy.Queue))
	}
	original := message.NewMessage(msg.UUID, msg.Payload)
	original.Metadata = meta
	var e events.Envelope
	_ = c.receiver.Receive(original, &e) // A message that cannot be decoded has an identity, too.
	msg.UUID = original.UUID             // If it had none, and is not stored now, it has the same one next time.
	m := poison.Message{
		ID: poison.ID(c.plan.name, e.ID), Handler: c.plan.name, Kind: string(c.plan.Kind()), Queue: c.plan.policy.Queue, Topic: c.plan.topic,
		Type: text.Cut(e.Type, maxName), Key: parkingKey(c.key(original)), MessageID: e.ID, CorrelationID: text.Cut(e.CorrelationID, maxName),
		Size: len(msg.Payload), Body: msg.Payload, Metadata: meta,
	}
	if meta[poison.MetaCode] != "" {
		m.Source, m.Code, m.Reason, m.Stack = poison.FromRouter, meta[poison.MetaCode], meta[poison.MetaReason], meta[poison.MetaStack]
		m.Attempts, _ = strconv.Atoi(meta[poison.MetaAttempts]) // 0 is "unknown".
		m.FirstFailedAt, m.LastFailedAt = parseTime(meta[poison.MetaFirstFailed]), parseTime(meta[poison.MetaLastFailed])
	} else {
		dead.explain(&m, meta)
	}
	// What was cut already must not be cut again for its ellipsis.
	m.Code, m.Reason, m.Stack = text.Cut(m.Code, maxName), text.Cut(m.Reason, maxReason+8), text.Cut(m.Stack, panics.MaxStack+8)
	m.Frame = panics.Frame(m.Stack)
	if m.LastFailedAt.IsZero() {
		m.LastFailedAt = now.UTC().Truncate(time.Millisecond)
	}
	if m.FirstFailedAt.IsZero() || m.FirstFailedAt.After(m.LastFailedAt) {
		m.FirstFailedAt = m.LastFailedAt
	}
	// A message that was retried carries its earlier failures.
	m.Failures = 1
	if n, err := strconv.Atoi(meta[poison.MetaRetried]); err == nil && n > 0 {
		m.Failures += n
	}
	if since := parseTime(meta[poison.MetaFailingSince]); !since.IsZero() && since.Before(m.FirstFailedAt) {
		m.FirstFailedAt = since
	}
	maps.DeleteFunc(meta, func(name, _ string) bool { return poison.OwnHeader(name) })
	return m
}

// parseTime reads a time to the millisecond; zero if it is not RFC 3339, or before 1970, when
// nothing can have failed.
func parseTime(s string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil || t.Unix() < 0 {
		return time.Time{}
	}
	return t.UTC().Truncate(time.Millisecond)
}
