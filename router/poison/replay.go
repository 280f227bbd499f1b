package poison

import (
	"strconv"
	"strings"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/pitwheel/pitwheel/events"
)

// Names of what a poison letter carries beside the message itself.
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
	// MetaLeftOut names the metadata that there was no room for. It stays with the
	// message, unlike the others.
	MetaLeftOut = "poison_left_out"
)

// Replay makes the message that a letter holds, as it was before it failed: with
// its identity, its correlation and what else travelled beside it, and a mark
// that joins a failure after it to the same letter. It is for the handler's own
// queue, so that nobody else gets it again.
func Replay(l Message) *message.Message {
	msg := message.NewMessage(l.MessageID, l.Body)
	for name, value := range l.Metadata {
		if !OwnHeader(name) && !brokersWord(name) {
			msg.Metadata[name] = value
		}
	}
	if l.CorrelationID != "" {
		msg.Metadata[events.MetaCorrelationID] = l.CorrelationID
	}
	msg.Metadata[MetaRetried] = strconv.Itoa(l.Failures)
	msg.Metadata[MetaFailingSince] = l.FirstFailedAt.UTC().Format(events.TimeLayout)
	return msg
}

// OwnHeader tells whether metadata is ours and belongs to the letter, not to
// the message in it.
func OwnHeader(name string) bool {
	switch name {
	case MetaHandler, MetaQueue, MetaTopic, MetaCode, MetaReason, MetaStack, MetaAttempts, MetaFirstFailed, MetaLastFailed,
		events.MetaAttempts, events.MetaFirstFailed, events.MetaDue, events.MetaParked, events.MetaPause, MetaRetried, MetaFailingSince:
		return true
	}
	return false
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
