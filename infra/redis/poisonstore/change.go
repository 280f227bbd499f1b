package poisonstore

import (
	"context"

	"github.com/redis/go-redis/v9"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router/poison"
)

// RemovePoison removes poison messages that are still as they were read; the change says
// what was done with them, by whom and why. Each is removed with its audit entry or not
// at all.
func (p *PoisonStore) RemovePoison(ctx context.Context, c poison.Change, msgs ...poison.Message) ([]poison.Removal, error) {
	if len(msgs) == 0 {
		return nil, nil
	}
	cmds := make([]*redis.Cmd, len(msgs))
	for i, m := range msgs {
		args := p.remove.Append(nil, p.messageKey(m.ID), p.key("index"), p.indexKey(m.Handler), p.key("counts"), p.key("audit"), p.claimKey(m.ID))
		args = append(args, m.Handler, m.Revision)
		cmds[i] = redis.NewCmd(ctx, append(args, auditFields(m, c)...)...)
	}
	if err := p.conn.Send(ctx, cmds...); err != nil {
		return nil, err
	}
	out := make([]poison.Removal, len(msgs))
	for i, cmd := range cmds {
		n, err := cmd.Int64()
		if err != nil {
			return nil, p.conn.Explain(err)
		}
		out[i] = map[int64]poison.Removal{1: poison.Removed, 0: poison.Changed, -1: poison.Gone}[n]
	}
	return out, nil
}

// EditPoison gives a poison message another body and returns it with that. If it
// has changed since it was read, or is claimed, the error has the code VERSION_CONFLICT; if it
// does not exist any more, NOT_FOUND.
func (p *PoisonStore) EditPoison(ctx context.Context, m poison.Message, body []byte, c poison.Change) (poison.Message, error) {
	c.Action = poison.Edited
	args := append([]any{m.Revision, body, len(body)}, auditFields(m, c)...)
	reply, err := p.conn.Run(ctx, p.edit, []string{p.messageKey(m.ID), p.key("revision"), p.key("audit"), p.claimKey(m.ID)}, args...)
	if err != nil {
		return m, err
	}
	switch revision, _ := reply.(int64); revision {
	case -1:
		return m, events.Errorf(events.CodeNotFound, "the poison message %s does not exist any more: it was retried or discarded meanwhile", m.ID)
	case -2:
		return m, events.Errorf(events.CodeConflict, "the poison message %s is being retried or discarded", m.ID).MayRetry()
	case 0:
		return m, events.Errorf(events.CodeConflict, "the poison message %s has failed again or was edited meanwhile", m.ID).MayRetry()
	default:
		m.Body, m.Size, m.Revision = body, len(body), revision
		return m, nil
	}
}
