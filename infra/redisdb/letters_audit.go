package redisdb

import (
	"context"
	"iter"
	"strconv"
	"strings"
	"time"

	"github.com/pitwheel/pitwheel/router/poison"
)

// auditFields are the fields of a change's entry in the audit stream. Its time is
// the entry's id.
func auditFields(l poison.Message, c poison.Change) []any {
	return []any{
		"action", c.Action, "who", c.Who, "why", c.Why,
		"letter", l.ID, "handler", l.Handler, "type", l.Type, "key", l.Key, "message", l.MessageID, "code", l.Code,
	}
}

// PoisonChanges returns what was done to letters, the newest first. The last
// million changes are kept, and roughly no more. After an error nothing more comes.
func (s *Store) PoisonChanges(ctx context.Context) iter.Seq2[poison.Change, error] {
	return func(yield func(poison.Change, error) bool) {
		from := "+"
		for {
			reply, err := s.do(ctx, "xrevrange", s.letterKey("audit"), from, "-", "count", lettersAtOnce)
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
			if len(entries) < lettersAtOnce {
				return
			}
			from = "(" + entryID(entries[len(entries)-1])
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
	ms, _, _ := strings.Cut(text(pair[0]), "-")
	if n, err := strconv.ParseInt(ms, 10, 64); err == nil {
		c.At = time.UnixMilli(n).UTC()
	}
	for name, into := range map[string]*string{
		"action": &c.Action, "who": &c.Who, "why": &c.Why, "letter": &c.PoisonID, "handler": &c.Handler,
		"type": &c.Type, "key": &c.Key, "message": &c.MessageID, "code": &c.Code,
	} {
		*into, _ = fieldOf(fields, name)
	}
	return c
}
