package redisdb

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router/poison"
)

// lettersAtOnce is how many letters of a list are read at once.
const lettersAtOnce = 500

// PoisonMessages returns all letters that a filter picks, without stack, metadata and
// body, a page at a time. Letters that come or go meanwhile may be in it or not;
// all others are in it once. After an error nothing more comes.
func (s *Store) PoisonMessages(ctx context.Context, f poison.Filter, order poison.Order) iter.Seq2[poison.Message, error] {
	return func(yield func(poison.Message, error) bool) {
		index := s.letterKey("index")
		if handlers := f.Fields["handler"]; len(handlers) == 1 {
			index = s.letterKey("index:" + handlers[0])
		}
		low, high := "-", "+"
		if !f.After.IsZero() {
			low = "[" + letterPlace(f.After, "")
		}
		if !f.Before.IsZero() {
			high = "(" + letterPlace(f.Before, "")
		}
		for {
			args := []any{"zrangebylex", index, low, high, "limit", 0, lettersAtOnce}
			if order == poison.NewestFirst {
				args = []any{"zrevrangebylex", index, high, low, "limit", 0, lettersAtOnce}
			}
			reply, err := s.do(ctx, args...)
			places, _ := reply.([]any)
			var page []poison.Message
			if err == nil && len(places) > 0 {
				page, err = s.letterHeads(ctx, places)
			}
			if err != nil {
				yield(poison.Message{}, err)
				return
			}
			for _, l := range page {
				if f.Match(l) && !yield(l, nil) {
					return
				}
			}
			if len(places) < lettersAtOnce {
				return
			}
			last := "(" + text(places[len(places)-1])
			if order == poison.NewestFirst {
				high = last
			} else {
				low = last
			}
		}
	}
}

// letterHeads reads what a list shows of letters. Those that are gone are left out.
func (s *Store) letterHeads(ctx context.Context, places []any) ([]poison.Message, error) {
	ids := make([]string, len(places))
	for i, p := range places {
		ids[i] = text(p)[min(16, len(text(p))):]
	}
	return s.readLetters(ctx, ids, "head", "failures", "first", "size", "revision")
}

// LoadPoison reads letters whole. Those that are gone are left out.
func (s *Store) LoadPoison(ctx context.Context, ids ...string) ([]poison.Message, error) {
	return s.readLetters(ctx, ids, "head", "failures", "first", "size", "revision", "rest", "body")
}

// PoisonMessage reads one letter, whole. If there is none, the error has the code NOT_FOUND.
func (s *Store) PoisonMessage(ctx context.Context, id string) (poison.Message, error) {
	found, err := s.LoadPoison(ctx, id)
	if err == nil && len(found) == 0 {
		err = events.Errorf(events.CodeNotFound, "there is no letter %s; it may have been retried or discarded", id)
	}
	if err != nil {
		return poison.Message{}, err
	}
	return found[0], nil
}

func (s *Store) readLetters(ctx context.Context, ids []string, fields ...string) ([]poison.Message, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	cmds := make([]*redis.Cmd, len(ids))
	for i, id := range ids {
		args := make([]any, 0, 2+len(fields))
		args = append(args, "hmget", s.letterKey("letter:"+id))
		for _, f := range fields {
			args = append(args, f)
		}
		cmds[i] = redis.NewCmd(ctx, args...)
	}
	if err := send(ctx, s.calls, cmds...); err != nil {
		return nil, err
	}
	out := make([]poison.Message, 0, len(ids))
	for i, cmd := range cmds {
		values, err := cmd.Slice()
		if err != nil {
			return nil, s.link.explain(err)
		}
		if len(values) < 5 || values[0] == nil {
			continue
		}
		l, err := decodeLetter(values)
		if err != nil {
			return nil, events.Errorf(events.CodeUndecodable, "the letter %s in Redis is damaged: %w", ids[i], err)
		}
		out = append(out, l)
	}
	return out, nil
}

// decodeLetter reads the fields of a letter's hash: head, failures, first, size,
// revision, and for a whole letter rest and body.
func decodeLetter(values []any) (poison.Message, error) {
	var l poison.Message
	err := json.Unmarshal([]byte(text(values[0])), &l)
	failures, err1 := strconv.Atoi(text(values[1]))
	first, err2 := strconv.ParseInt(text(values[2]), 10, 64)
	size, err3 := strconv.Atoi(text(values[3]))
	revision, err4 := strconv.ParseInt(text(values[4]), 10, 64)
	if err := errors.Join(err, err1, err2, err3, err4); err != nil {
		return l, err
	}
	l.Failures, l.FirstFailedAt, l.Size, l.Revision, l.Body = failures, time.UnixMilli(first).UTC(), size, revision, nil
	if len(values) < 7 {
		return l, nil
	}
	var rest letterRest
	if err := json.Unmarshal([]byte(text(values[5])), &rest); err != nil {
		return l, err
	}
	l.Stack, l.Metadata, l.Body = rest.Stack, rest.Metadata, []byte(text(values[6]))
	return l, nil
}
