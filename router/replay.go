package router

import (
	"strconv"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/pitwheel/pitwheel/events"
)

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
