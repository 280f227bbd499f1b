package eventlog

import (
	"context"
	"errors"

	"github.com/redis/go-redis/v9"

	"github.com/pitwheel/pitwheel/events"
	datajson "github.com/pitwheel/pitwheel/events/json"
)

// Outcome returns the stored outcome of a command, and reports whether there is one.
func (l *Log) Outcome(ctx context.Context, aggregate, id, commandID string) (events.Outcome, bool, error) {
	reply, err := l.conn.Do(ctx, "get", l.outcomeKey(l.partition(id), aggregate, id, commandID))
	if errors.Is(err, redis.Nil) {
		return events.Outcome{}, false, nil
	}
	if err != nil {
		return events.Outcome{}, false, err
	}
	text, _ := reply.(string)
	o, err := decodeOutcome(text, aggregate, id, commandID)
	return o, err == nil, err
}

// storedOutcome is an outcome as it is stored.
type storedOutcome struct {
	events.Outcome
	Command string `json:"command,omitempty"`
}

// encodeOutcome returns an outcome as JSON without what its key says already.
func encodeOutcome(o events.Outcome) ([]byte, error) {
	o.CommandID, o.Aggregate, o.AggregateID = "", "", ""
	out, err := datajson.Marshal(storedOutcome{o, o.Command})
	if err != nil {
		return nil, events.Errorf(events.CodeInternal, "the outcome of a command cannot be written: %w", err)
	}
	return out, nil
}

func decodeOutcome(text, aggregate, id, commandID string) (events.Outcome, error) {
	var stored storedOutcome
	if err := datajson.Unmarshal([]byte(text), &stored); err != nil {
		return events.Outcome{}, events.Errorf(events.CodeUndecodable, "the stored outcome of command %s cannot be read: %w", commandID, err)
	}
	o := stored.Outcome
	o.Command, o.CommandID, o.Aggregate, o.AggregateID = stored.Command, commandID, aggregate, id
	return o, nil
}
