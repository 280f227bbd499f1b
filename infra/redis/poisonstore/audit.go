package poisonstore

import (
	"context"
	"iter"
	"strconv"
	"strings"
	"time"

	"github.com/pitwheel/pitwheel/infra/redis/conn"
	"github.com/pitwheel/pitwheel/router/poison"
)

// auditFields are the fields of a change's entry in the audit stream. Its time is the
// entry's id.
func auditFields(m poison.Message, c poison.Change) []any {
	return []any{
		"action", c.Action, "who", c.Who, "why", c.Why,
		"id", m.ID, "handler", m.Handler, "type", m.Type, "key", m.Key, "message", m.MessageID, "code", m.Code,
	}
}

// PoisonChanges returns what was done to poison messages, the newest first. The last
// million changes are kept, and roughly no more. It ends after an error.
func (p *PoisonStore) PoisonChanges(ctx context.Context) iter.Seq2[poison.Change, error] {
	return func(yield func(poison.Change, error) bool) {
		from := "+"
		for {
			reply, err := p.conn.Do(ctx, "xrevrange", p.key("audit"), from, "-", "count", pageSize)
			if err != nil {
				yield(poison.Change{}, err)
				return
			}
			entries, _ := reply.([]any)
			for _, e := range entries {
				if !yield(decodeChange(e), nil) {
					return
				}
			}
			if len(entries) < pageSize {
				return
			}
			from = "(" + conn.EntryID(entries[len(entries)-1])
		}
	}
}

func decodeChange(entry any) poison.Change {
	var c poison.Change
	pair, _ := entry.([]any)
	if len(pair) != 2 {
		return c
	}
	fields, _ := pair[1].([]any)
	ms, _, _ := strings.Cut(conn.Text(pair[0]), "-")
	if n, err := strconv.ParseInt(ms, 10, 64); err == nil {
		c.At = time.UnixMilli(n).UTC()
	}
	for name, into := range map[string]*string{
		"action": &c.Action, "who": &c.Who, "why": &c.Why, "id": &c.PoisonID, "handler": &c.Handler,
		"type": &c.Type, "key": &c.Key, "message": &c.MessageID, "code": &c.Code,
	} {
		*into, _ = conn.FieldText(fields, name)
	}
	return c
}
