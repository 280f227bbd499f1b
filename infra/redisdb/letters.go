package redisdb

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router/poison"
)

// letterKey names a key of the poison letters; all of them are in one slot.
func (s *Store) letterKey(name string) string { return s.prefix + "{letters}:" + name }

// letterRest is the part of a letter that a list does without.
type letterRest struct {
	Stack    string            `json:"stack,omitempty"`
	Metadata map[string]string `json:"metadata,omitempty"`
}

// StorePoison keeps a poison letter, or one more failure of a letter that is kept
// already: its failures are counted, its first failure stays, and its last one
// tells what is the matter. The same failure again changes nothing.
func (s *Store) StorePoison(ctx context.Context, l poison.Message) error {
	_, err := s.storeLetter(ctx, l, nil)
	return err
}

// ImportPoison keeps a letter that came from elsewhere, unless it is there
// already, and tells whether it did. The change says who wanted it, and why.
func (s *Store) ImportPoison(ctx context.Context, l poison.Message, c poison.Change) (bool, error) {
	c.Action = poison.Imported
	return s.storeLetter(ctx, l, auditFields(l, c))
}

func (s *Store) storeLetter(ctx context.Context, l poison.Message, audit []any) (bool, error) {
	rest, err := json.Marshal(letterRest{l.Stack, l.Metadata})
	if err != nil {
		return false, err
	}
	head := l
	head.Stack, head.Metadata, head.Body = "", nil, nil
	text, err := json.Marshal(head)
	if err != nil {
		return false, err
	}
	args := append([]any{
		l.Handler, letterPlace(l.LastFailedAt, l.ID), strconv.FormatInt(l.LastFailedAt.UnixMilli(), 10) + l.Source, l.Failures, max(0, l.FirstFailedAt.UnixMilli()),
		text, rest, l.Body, len(l.Body),
	}, audit...)
	reply, err := s.run(ctx, s.scripts.letterStore, []string{
		s.letterKey("letter:" + l.ID), s.letterKey("index"), s.letterKey("index:" + l.Handler),
		s.letterKey("counts"), s.letterKey("revision"), s.letterKey("audit"),
	}, args...)
	return reply == int64(1), err
}

// letterPlace is where a letter stands in the indexes: sorted by time, and by id
// within a millisecond, so that a reader can go on after any place, also after one
// that is no longer there.
func letterPlace(at time.Time, id string) string {
	return fmt.Sprintf("%015d:%s", max(0, at.UnixMilli()), id)
}

// CountPoison returns how many letters there are, by handler.
func (s *Store) CountPoison(ctx context.Context) (map[string]int, error) {
	reply, err := s.do(ctx, "hgetall", s.letterKey("counts"))
	if err != nil {
		return nil, err
	}
	out := map[string]int{}
	flat, _ := reply.([]any)
	for i := 0; i+1 < len(flat); i += 2 {
		if n, err := strconv.Atoi(text(flat[i+1])); err == nil && n > 0 {
			out[text(flat[i])] = n
		}
	}
	return out, nil
}

// RemovePoison removes letters that are still as they were read; the change says
// what was done with them, by whom and why. Each is removed with its audit entry
// or not at all.
func (s *Store) RemovePoison(ctx context.Context, c poison.Change, letters ...poison.Message) ([]poison.Removal, error) {
	if len(letters) == 0 {
		return nil, nil
	}
	cmds := make([]*redis.Cmd, len(letters))
	for i, l := range letters {
		args := []any{
			"evalsha", s.scripts.letterRemove.Hash(), 5,
			s.letterKey("letter:" + l.ID), s.letterKey("index"), s.letterKey("index:" + l.Handler), s.letterKey("counts"), s.letterKey("audit"),
			l.Handler, l.Revision,
		}
		cmds[i] = redis.NewCmd(ctx, append(args, auditFields(l, c)...)...)
	}
	if err := send(ctx, s.calls, cmds...); err != nil {
		return nil, err
	}
	out := make([]poison.Removal, len(letters))
	for i, cmd := range cmds {
		n, err := cmd.Int64()
		if err != nil {
			return nil, s.link.explain(err)
		}
		out[i] = map[int64]poison.Removal{1: poison.Removed, 0: poison.Changed, -1: poison.Gone}[n]
	}
	return out, nil
}

// EditPoison gives a letter another body and returns it with that. If it is no
// longer as it was read, the error has the code VERSION_CONFLICT; if it is gone,
// NOT_FOUND.
func (s *Store) EditPoison(ctx context.Context, l poison.Message, body []byte, c poison.Change) (poison.Message, error) {
	c.Action = poison.Edited
	args := append([]any{l.Revision, body, len(body)}, auditFields(l, c)...)
	reply, err := s.run(ctx, s.scripts.letterEdit, []string{s.letterKey("letter:" + l.ID), s.letterKey("revision"), s.letterKey("audit")}, args...)
	if err != nil {
		return l, err
	}
	switch revision, _ := reply.(int64); revision {
	case -1:
		return l, events.Errorf(events.CodeNotFound, "the letter %s is gone: somebody else has retried or discarded it", l.ID)
	case 0:
		return l, events.Errorf(events.CodeConflict, "the message of letter %s has failed again meanwhile, or somebody else has edited it", l.ID).MayRetry()
	default:
		l.Body, l.Size, l.Revision = body, len(body), revision
		return l, nil
	}
}
