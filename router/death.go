package router

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router/poison"
)

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
func (d *death) explain(l *poison.Message, meta message.Metadata) {
	l.Source = poison.FromBroker
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
