package router

import (
	"context"
	"encoding/json"
	"maps"
	"strconv"
	"strings"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/pitwheel/pitwheel/events"
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
	letters Letters
	parking Parking // nil: none
	key     func(*message.Message) string
	// maxBytes bounds what is read, as it does for the handler: a message has one id.
	maxBytes int
}

// keeper prepares the move for one handler, of whatever kind.
func (r *Router) keeper(p *plan) (*lettersKeeper, error) {
	sub, err := r.config.Transport.Subscriber(Subscription{
		Handler: lettersRole + p.name, Queue: poisonQueue(p.policy.Queue), Concurrency: lettersConcurrency, Prefetch: lettersPrefetch,
		Key: func(*message.Message) string { return "" }, // Any order will do.
	})
	if err != nil {
		return nil, events.Errorf(events.CodeOf(err), "the poison queue of handler %q: %w", p.name, err)
	}
	k := &lettersKeeper{plan: p, sub: sub, letters: r.config.Letters, key: keyOf(r.config.Catalogue), maxBytes: r.config.MaxBytes}
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
	if k.parking != nil && l.Source == events.LetterFromBroker && l.Key != "" {
		// The router has blocked the key of what it gave up itself.
		if _, err := k.parking.BlockKey(ctx, k.plan.name, l.Key, l.MessageID); err != nil {
			return err
		}
		k.plan.calm.disturb()
	}
	return k.letters.StoreLetter(ctx, l)
}

// letter reads a message of the poison queue: one that the router has put there,
// or the broker, or whoever else could.
func (k *lettersKeeper) letter(msg *message.Message, now time.Time) events.Letter {
	meta := maps.Clone(msg.Metadata)
	dead := deathOf(meta)
	if dead != nil {
		dead.mendType(meta, poisonQueue(k.plan.policy.Queue))
	}
	read := message.NewMessage(msg.UUID, msg.Payload)
	read.Metadata = meta
	var e events.Envelope
	if len(msg.Payload) > k.maxBytes {
		unread(read, &e)
	} else {
		_ = readMessage(read, &e) // What cannot be read has an identity, too.
	}
	l := events.Letter{
		ID: events.LetterID(k.plan.name, e.ID), Handler: k.plan.name, Kind: string(k.plan.kind), Queue: k.plan.policy.Queue, Topic: k.plan.topic,
		Type: bounded(e.Type, maxName), Key: parkingKey(k.key(read)), MessageID: e.ID, CorrelationID: bounded(e.CorrelationID, maxName),
		Size: len(msg.Payload), Body: msg.Payload, Metadata: meta,
	}
	switch {
	case meta[PoisonCode] != "":
		l.Source, l.Code, l.Reason, l.Stack = events.LetterFromRouter, meta[PoisonCode], meta[PoisonReason], meta[PoisonStack]
		l.Attempts, _ = strconv.Atoi(meta[PoisonAttempts]) // Our own words; 0 is "unknown".
		l.FirstFailedAt, l.LastFailedAt = momentOf(meta[PoisonFirstFailed]), momentOf(meta[PoisonLastFailed])
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
	if n, err := strconv.Atoi(meta[events.MetaRetried]); err == nil && n > 0 {
		l.Failures += n
	}
	if since := momentOf(meta[events.MetaFailingSince]); !since.IsZero() && since.Before(l.FirstFailedAt) {
		l.FirstFailedAt = since
	}
	maps.DeleteFunc(meta, func(name, _ string) bool { return poisonWords(name) })
	return l
}

// maxName bounds what is a name or a code: nothing of ours is longer.
const maxName = 512

// poisonWords tells whether metadata is ours and belongs to the letter, not to
// the message in it.
func poisonWords(name string) bool {
	switch name {
	case PoisonHandler, PoisonQueue, PoisonTopic, PoisonCode, PoisonReason, PoisonStack, PoisonAttempts, PoisonFirstFailed, PoisonLastFailed,
		events.MetaAttempts, events.MetaFirstFailed, events.MetaDue, events.MetaParked, events.MetaPause, events.MetaRetried, events.MetaFailingSince:
		return true
	}
	return false
}

func momentOf(text string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return time.Time{}
	}
	return t.UTC().Truncate(time.Millisecond)
}

// death is what RabbitMQ says about a message that it gave up.
type death struct {
	Reason      string    `json:"reason"`
	Queue       string    `json:"queue"`
	Time        time.Time `json:"time"`
	RoutingKeys []string  `json:"routing-keys"`
}

// deathOf reads the last death of a message, or returns nil if it has none.
func deathOf(meta message.Metadata) *death {
	var all []death
	if json.Unmarshal([]byte(meta["x-death"]), &all) == nil && len(all) > 0 {
		return &all[0]
	}
	if reason := meta["x-first-death-reason"]; reason != "" {
		return &death{Reason: reason, Queue: meta["x-first-death-queue"]}
	}
	return nil
}

// mendType gives a message that came without a type its routing key again: on its
// way to the poison queue the broker has put that queue's name in its place.
func (d *death) mendType(meta message.Metadata, poison string) {
	if is := meta[events.MetaType]; is != poison && !strings.HasSuffix(is, "."+poison) {
		return
	}
	delete(meta, events.MetaType)
	if len(d.RoutingKeys) > 0 {
		meta[events.MetaType] = d.RoutingKeys[0]
	}
}

// explain says why the broker gave the message up. A nil death is a message that
// somebody has put into the poison queue without a word.
func (d *death) explain(l *events.Letter, meta message.Metadata) {
	l.Source = events.LetterFromBroker
	if d == nil {
		l.Code, l.Reason = "UNEXPLAINED", "nothing beside the message says why it is in the poison queue"
		return
	}
	l.Code, l.LastFailedAt = strings.ToUpper(d.Reason), d.Time.UTC().Truncate(time.Millisecond)
	if n, err := strconv.Atoi(meta["x-delivery-count"]); err == nil {
		l.Attempts = n
	}
	switch d.Reason {
	case "delivery_limit":
		l.Reason = "the broker delivered it as often as the queue's limit allows, and nobody settled it: does the process die of it?"
	case "expired":
		l.Reason = "it waited in the queue longer than it was allowed to"
	case "maxlen":
		l.Reason = "the queue was full"
	case "rejected":
		l.Reason = "a consumer of the queue rejected it"
	default:
		l.Reason = "the broker gave it up: " + d.Reason
	}
}

// failingFrame is where a stack says that the panic happened: the first function
// below the panic that is not the runtime's own, and its line.
func failingFrame(stack string) string {
	lines := strings.Split(stack, "\n")
	last := -1
	for i, line := range lines {
		if strings.HasPrefix(line, "panic(") {
			last = i // Of a panic while panicking, the first one is at the end.
		}
	}
	if last < 0 {
		return ""
	}
	for i := last + 2; i+1 < len(lines); i += 2 {
		name := lines[i]
		if strings.HasPrefix(name, "runtime.") {
			continue
		}
		if open := strings.LastIndexByte(name, '('); open > 0 {
			name = name[:open]
		}
		file, _, _ := strings.Cut(strings.TrimSpace(lines[i+1]), " ")
		return bounded(name[strings.LastIndexByte(name, '/')+1:]+" "+file[strings.LastIndexByte(file, '/')+1:], maxName)
	}
	return ""
}

// Replay makes the message that a letter holds, as it was before it failed: with
// its identity, its correlation and what else travelled beside it, and a mark
// that joins a failure after it to the same letter. It is for the handler's own
// queue, so that nobody else gets it again.
func Replay(l events.Letter) *message.Message {
	msg := message.NewMessage(l.MessageID, l.Body)
	for name, value := range l.Metadata {
		if !poisonWords(name) && !brokersWord(name) {
			msg.Metadata[name] = value
		}
	}
	if l.CorrelationID != "" {
		msg.Metadata[events.MetaCorrelationID] = l.CorrelationID
	}
	msg.Metadata[events.MetaRetried] = strconv.Itoa(l.Failures)
	msg.Metadata[events.MetaFailingSince] = l.FirstFailedAt.UTC().Format(events.TimeLayout)
	return msg
}

// brokersWord tells whether RabbitMQ has put metadata beside a message that tells
// of its former ways.
func brokersWord(name string) bool {
	switch name {
	case "x-death", "x-delivery-count", "x-acquired-count", "x-redelivered":
		return true
	}
	return strings.HasPrefix(name, "x-first-death-") || strings.HasPrefix(name, "x-last-death-")
}
