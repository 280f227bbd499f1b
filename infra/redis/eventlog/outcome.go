package eventlog

import (
	"context"
	"errors"
	"slices"

	"github.com/redis/go-redis/v9"

	"github.com/pitwheel/pitwheel/events"
	datajson "github.com/pitwheel/pitwheel/events/json"
)

// Outcomes returns the stored outcomes of commands, in the order of their receipts; one
// that is not stored has an empty status.
func (l *Log) Outcomes(ctx context.Context, of []events.Receipt) ([]events.Outcome, error) {
	out := make([]events.Outcome, len(of))
	if len(of) == 0 {
		return out, nil
	}
	cmds := l.getOutcomes(ctx, of)
	if err := l.conn.Send(ctx, cmds...); err != nil {
		return nil, err
	}
	stored := func(cmd *redis.Cmd) bool { return cmd.Err() == nil }
	if l.conn.Confirms() && slices.ContainsFunc(cmds, stored) {
		// Most of the time there is none, and nothing to wait for.
		cmds = l.getOutcomes(ctx, of)
		if err := l.conn.SendDurably(ctx, cmds...); err != nil {
			return nil, err
		}
	}
	for i, r := range of {
		text, err := cmds[i].Text()
		if errors.Is(err, redis.Nil) {
			continue
		}
		if err != nil {
			return nil, l.conn.Explain(err)
		}
		if out[i], err = decodeOutcome(text, r.Aggregate, r.AggregateID, r.CommandID); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (l *Log) getOutcomes(ctx context.Context, of []events.Receipt) []*redis.Cmd {
	cmds := make([]*redis.Cmd, len(of))
	for i, r := range of {
		cmds[i] = redis.NewCmd(ctx, "get", l.outcomeKey(l.partition(r.AggregateID), r.Aggregate, r.AggregateID, r.CommandID))
	}
	return cmds
}

// storedOutcome is an outcome as it is stored.
type storedOutcome struct {
	events.Outcome
	Command     string `json:"command,omitempty"`
	CommandHash string `json:"hash,omitempty"`
}

// encodeOutcome returns an outcome as JSON without what its key says already.
func encodeOutcome(o events.Outcome) ([]byte, error) {
	o.CommandID, o.Aggregate, o.AggregateID, o.Repeated = "", "", "", false
	out, err := datajson.Marshal(storedOutcome{o, o.Command, o.CommandHash})
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
	o.Command, o.CommandHash, o.CommandID, o.Aggregate, o.AggregateID = stored.Command, stored.CommandHash, commandID, aggregate, id
	return o, nil
}
