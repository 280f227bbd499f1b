package streams

import (
	"context"
	"strings"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/redis/conn"
	"github.com/pitwheel/pitwheel/router"
)

var _ router.Marker = (*Transport)(nil)

const (
	// markPrefix, and the name of a queue, is the type of an entry in a topic's stream that
	// is a mark for that queue.
	markPrefix = "pitwheel.mark:"
	// fieldMark is the type of the message that a mark carries.
	fieldMark = "mark"
)

// Mark publishes a message that only the subscribers of a queue receive, after everything
// that was published before to the topic and into the queue. A queue is fed by two streams,
// so the mark takes two steps: it is added to the topic's stream, and the subscriber that
// receives it there, after everything before it, adds it to the queue's own. After a crash in
// between, a mark may be received twice.
//
// It returns when Redis has confirmed the first step. A queue that does not exist on both
// streams is an error with the code NOT_FOUND.
func (t *Transport) Mark(ctx context.Context, topic, queue string, msg *message.Message) error {
	feeds := t.feeds(topic, queue)
	for _, stream := range feeds {
		exists, err := t.hasGroup(ctx, stream, queue)
		if err != nil {
			return err
		}
		if !exists {
			return events.Errorf(events.CodeNotFound, "there is no queue %s to mark: the stream %s has no such consumer group", queue, stream).
				WithHint("start a process that runs its handler: it declares the queue")
		}
	}
	args := []any{"xadd", feeds[0], "*"}
	if len(feeds) == 1 {
		args = appendMessage(args, msg)
	} else {
		args = append(args, fieldType, markPrefix+queue, fieldMark, msg.Metadata[events.MetaType],
			fieldMeta, encodeMeta(msg), fieldBody, []byte(msg.Payload))
	}
	_, err := t.conn.Do(ctx, args...)
	return err
}

// isMark reports whether an entry of a topic's stream is a mark, and of our queue.
func (in *intake) isMark(fields []any) (mark, ours bool) {
	kind, _ := conn.FieldText(fields, fieldType)
	queue, mark := strings.CutPrefix(kind, markPrefix)
	return mark, queue == in.sub.cfg.Queue
}

// forward adds a mark to the queue's own stream, and then acknowledges the entry. It is
// repeated until it succeeds or ctx ends.
func (in *intake) forward(ctx context.Context, d delivery, fields []any) {
	args := []any{"xadd", in.sub.transport.streamKey(in.sub.cfg.Queue), "*"}
	for i := 0; i+1 < len(fields); i += 2 {
		switch name := conn.Text(fields[i]); {
		case name == fieldType:
		case name == fieldMark && conn.Text(fields[i+1]) == "": // The message has no type.
		case name == fieldMark:
			args = append(args, fieldType, fields[i+1])
		default:
			args = append(args, name, fields[i+1])
		}
	}
	in.sub.retry(ctx, func() error {
		_, err := in.sub.conn.Do(ctx, args...)
		if err == nil {
			in.sub.acks.add(d)
		}
		return err
	})
}
