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

// death is what RabbitMQ says about a message that it dead-lettered.
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

// restoreType restores the type of a message that has none but its routing key: on the
// way to the poison queue the broker has put that queue's name in its place.
func (d *death) restoreType(meta message.Metadata, poisonQueue string) {
	if is := meta[events.MetaType]; is != poisonQueue && !strings.HasSuffix(is, "."+poisonQueue) {
		return
	}
	delete(meta, events.MetaType)
	if len(d.RoutingKeys) > 0 {
		meta[events.MetaType] = d.RoutingKeys[0]
	}
}

// explain writes into m why the broker dead-lettered the message. A nil death is one
// that was put into the poison queue without an explanation.
func (d *death) explain(m *poison.Message, meta message.Metadata) {
	m.Source = poison.FromBroker
	if d == nil {
		m.Code, m.Reason = "UNEXPLAINED", "nothing in the headers says why it is in the poison queue"
		return
	}
	m.Code, m.LastFailedAt = strings.ToUpper(d.Reason), d.Time.UTC().Truncate(time.Millisecond)
	if n, err := strconv.Atoi(meta["x-delivery-count"]); err == nil {
		m.Attempts = n
	}
	switch d.Reason {
	case "delivery_limit":
		m.Reason = "the broker delivered it as often as the queue's limit allows, and it was never acknowledged: does it crash the process?"
	case "expired":
		m.Reason = "it waited in the queue longer than it was allowed to"
	case "maxlen":
		m.Reason = "the queue was full"
	case "rejected":
		m.Reason = "a consumer of the queue rejected it"
	default:
		m.Reason = "the broker dead-lettered it: " + d.Reason
	}
}
