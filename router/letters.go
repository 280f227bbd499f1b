package router

import (
	"context"
	"maps"
	"strconv"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router/poison"
)

// lettersRole begins the names under which poison queues are consumed. No handler
// can have such a name.
const lettersRole = "letters:"

// lettersPrefetch keeps few letters in memory: each is a whole message, and
// nobody waits for them.
const (
	lettersPrefetch    = 32
	lettersConcurrency = 8
)

// lettersKeeper moves letters from one handler's poison queue into the store. A
// letter is acknowledged when the store has it; until then the queue keeps it.
type lettersKeeper struct {
	plan    *plan
	sub     Subscriber
	letters PoisonStore
	parking Parking // nil: none
	key     func(*message.Message) string
	// maxBytes bounds what is read, as it does for the handler: a message has one id.
	maxBytes int
}

// keeper prepares the move for one handler, of whatever kind.
func (r *Router) keeper(p *plan) (*lettersKeeper, error) {
	sub, err := r.config.Transport.Subscriber(Subscription{
		Handler: lettersRole + p.name, Queue: events.PoisonQueue(p.policy.Queue), Concurrency: lettersConcurrency, Prefetch: lettersPrefetch,
		Key: func(*message.Message) string { return "" }, // Any order will do.
	})
	if err != nil {
		return nil, events.Errorf(events.CodeOf(err), "the poison queue of handler %q: %w", p.name, err)
	}
	k := &lettersKeeper{plan: p, sub: sub, letters: r.config.Poison, key: keyOf(r.config.Catalogue), maxBytes: r.config.MaxBytes}
	if p.calm != nil {
		k.parking = r.config.Parking
	}
	return k, nil
}

func (k *lettersKeeper) name() string { return lettersRole + k.plan.name }

// keep stores one letter.
func (k *lettersKeeper) keep(msg *message.Message) error {
	ctx, cancel := context.WithTimeout(msg.Context(), letterTimeout)
	defer cancel()
	l := k.letter(msg, time.Now())
	if k.parking != nil && l.Source == poison.FromBroker && l.Key != "" {
		// The router has blocked the key of what it gave up itself.
		if _, err := k.parking.BlockKey(ctx, k.plan.name, l.Key, l.MessageID); err != nil {
			return err
		}
		k.plan.calm.disturb()
	}
	return k.letters.StorePoison(ctx, l)
}

// letter reads a message of the poison queue: one that the router has put there,
// or the broker, or whoever else could.
func (k *lettersKeeper) letter(msg *message.Message, now time.Time) poison.Message {
	meta := maps.Clone(msg.Metadata)
	dead := deathOf(meta)
	if dead != nil {
		dead.mendType(meta, events.PoisonQueue(k.plan.policy.Queue))
	}
	read := message.NewMessage(msg.UUID, msg.Payload)
	read.Metadata = meta
	var e events.Envelope
	if len(msg.Payload) > k.maxBytes {
		unread(read, &e)
	} else {
		_ = readMessage(read, &e) // What cannot be read has an identity, too.
	}
	l := poison.Message{
		ID: poison.ID(k.plan.name, e.ID), Handler: k.plan.name, Kind: string(k.plan.kind), Queue: k.plan.policy.Queue, Topic: k.plan.topic,
		Type: bounded(e.Type, maxName), Key: parkingKey(k.key(read)), MessageID: e.ID, CorrelationID: bounded(e.CorrelationID, maxName),
		Size: len(msg.Payload), Body: msg.Payload, Metadata: meta,
	}
	switch {
	case meta[poison.MetaCode] != "":
		l.Source, l.Code, l.Reason, l.Stack = poison.FromRouter, meta[poison.MetaCode], meta[poison.MetaReason], meta[poison.MetaStack]
		l.Attempts, _ = strconv.Atoi(meta[poison.MetaAttempts]) // Our own words; 0 is "unknown".
		l.FirstFailedAt, l.LastFailedAt = momentOf(meta[poison.MetaFirstFailed]), momentOf(meta[poison.MetaLastFailed])
	default:
		dead.explain(&l, meta)
	}
	l.Code, l.Reason, l.Stack = bounded(l.Code, maxName), bounded(l.Reason, maxReason+8), bounded(l.Stack, maxStack+8)
	l.Frame = failingFrame(l.Stack)
	if l.LastFailedAt.IsZero() {
		l.LastFailedAt = now.UTC().Truncate(time.Millisecond)
	}
	if l.FirstFailedAt.IsZero() || l.FirstFailedAt.After(l.LastFailedAt) {
		l.FirstFailedAt = l.LastFailedAt
	}
	// A letter that was retried remembers what was before.
	l.Failures = 1
	if n, err := strconv.Atoi(meta[poison.MetaRetried]); err == nil && n > 0 {
		l.Failures += n
	}
	if since := momentOf(meta[poison.MetaFailingSince]); !since.IsZero() && since.Before(l.FirstFailedAt) {
		l.FirstFailedAt = since
	}
	maps.DeleteFunc(meta, func(name, _ string) bool { return poison.OwnHeader(name) })
	return l
}

// maxName bounds what is a name or a code: nothing of ours is longer.
const maxName = 512

func momentOf(text string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return time.Time{}
	}
	return t.UTC().Truncate(time.Millisecond)
}
