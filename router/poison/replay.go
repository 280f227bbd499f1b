package poison

import (
	"strconv"
	"strings"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/pitwheel/pitwheel/events"
)

// Headers that the router adds to a message in the poison queue.
const (
	MetaHandler     = "poison_handler"
	MetaQueue       = "poison_queue"
	MetaTopic       = "poison_topic"
	MetaCode        = "poison_code"
	MetaReason      = "poison_reason"
	MetaStack       = "poison_stack"
	MetaAttempts    = "poison_attempts"
	MetaFirstFailed = "poison_first_failed_at"
	MetaLastFailed  = "poison_last_failed_at"
	// MetaLeftOut lists the headers that there was no room for. It stays with the message,
	// unlike the others.
	MetaLeftOut = "poison_left_out"
)

// Headers of a retried message. If it fails again, that is counted for the same poison
// message.
const (
	// MetaRetried is how often the message had failed before it was retried.
	MetaRetried = "pitwheel_retried"
	// MetaFailingSince is when its first attempt of all failed.
	MetaFailingSince = "pitwheel_failing_since"
)

// Replay returns the message as it was before it failed, with its id, its correlation and
// its headers, marked as retried. It is for the handler's own queue, so that no other
// handler receives it again.
func Replay(m Message) *message.Message {
	msg := message.NewMessage(m.MessageID, m.Body)
	for name, value := range m.Metadata {
		if !OwnHeader(name) && !brokerHeader(name) {
			msg.Metadata[name] = value
		}
	}
	if m.CorrelationID != "" {
		msg.Metadata[events.MetaCorrelationID] = m.CorrelationID
	}
	msg.Metadata[MetaRetried] = strconv.Itoa(m.Failures)
	msg.Metadata[MetaFailingSince] = timeText(m.FirstFailedAt)
	return msg
}

// OwnHeader reports whether a header describes the failure and not the message.
func OwnHeader(name string) bool {
	switch name {
	case MetaHandler, MetaQueue, MetaTopic, MetaCode, MetaReason, MetaStack, MetaAttempts, MetaFirstFailed, MetaLastFailed,
		events.MetaAttempts, events.MetaFirstFailed, events.MetaDue, events.MetaParked, events.MetaPause, MetaRetried, MetaFailingSince:
		return true
	}
	return false
}

// brokerHeader reports whether RabbitMQ has added a header, about former deliveries.
func brokerHeader(name string) bool {
	switch name {
	case "x-death", "x-delivery-count", "x-acquired-count", "x-redelivered":
		return true
	}
	return strings.HasPrefix(name, "x-first-death-") || strings.HasPrefix(name, "x-last-death-")
}
