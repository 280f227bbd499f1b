package poisonstore

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/redis/conn"
	"github.com/pitwheel/pitwheel/router/poison"
)

// pageSize is how many messages or changes of a list are read at once.
const pageSize = 500

// PoisonMessages returns all poison messages that match a filter, without stack, metadata
// and body, a page at a time. Messages that come or go meanwhile may be in it or not; all
// others are in it once. It ends after an error.
func (p *PoisonStore) PoisonMessages(ctx context.Context, f poison.Filter, order poison.Order) iter.Seq2[poison.Message, error] {
	return func(yield func(poison.Message, error) bool) {
		index := p.key("index")
		if handlers := f.Fields["handler"]; len(handlers) == 1 {
			index = p.indexKey(handlers[0])
		}
		low, high := "-", "+"
		if !f.After.IsZero() {
			low = "[" + place(f.After, "")
		}
		if !f.Before.IsZero() {
			high = "(" + place(f.Before, "")
		}
		for {
			args := []any{"zrangebylex", index, low, high, "limit", 0, pageSize}
			if order == poison.NewestFirst {
				args = []any{"zrevrangebylex", index, high, low, "limit", 0, pageSize}
			}
			reply, err := p.conn.Do(ctx, args...)
			places, _ := reply.([]any)
			var page []poison.Message
			if err == nil {
				page, err = p.loadHeads(ctx, places)
			}
			if err != nil {
				yield(poison.Message{}, err)
				return
			}
			for _, m := range page {
				if f.Match(m) && !yield(m, nil) {
					return
				}
			}
			if len(places) < pageSize {
				return
			}
			last := "(" + conn.Text(places[len(places)-1])
			if order == poison.NewestFirst {
				high = last
			} else {
				low = last
			}
		}
	}
}

// loadHeads reads what a list shows of the messages at places of an index.
func (p *PoisonStore) loadHeads(ctx context.Context, places []any) ([]poison.Message, error) {
	ids := make([]string, len(places))
	for i, at := range places {
		ids[i] = idOf(conn.Text(at))
	}
	return p.load(ctx, ids, "head", "failures", "first", "size", "revision")
}

// LoadPoison reads poison messages whole. Those that do not exist are left out.
func (p *PoisonStore) LoadPoison(ctx context.Context, ids ...string) ([]poison.Message, error) {
	return p.load(ctx, ids, "head", "failures", "first", "size", "revision", "rest", "body")
}

// load reads fields of poison messages, in the order of decode. Messages that do not exist
// are left out.
func (p *PoisonStore) load(ctx context.Context, ids []string, fields ...any) ([]poison.Message, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	cmds := make([]*redis.Cmd, len(ids))
	for i, id := range ids {
		cmds[i] = redis.NewCmd(ctx, append([]any{"hmget", p.messageKey(id)}, fields...)...)
	}
	if err := p.conn.Send(ctx, cmds...); err != nil {
		return nil, err
	}
	out := make([]poison.Message, 0, len(ids))
	for i, cmd := range cmds {
		values, err := cmd.Slice()
		if err != nil {
			return nil, p.conn.Explain(err)
		}
		if len(values) < 5 || values[0] == nil {
			continue
		}
		m, err := decode(values)
		if err != nil {
			return nil, events.Errorf(events.CodeUndecodable, "the poison message %s in Redis is damaged: %w", ids[i], err)
		}
		out = append(out, m)
	}
	return out, nil
}

// decode reads fields of a poison message: head, failures, first, size, revision, and for a
// whole one rest and body.
func decode(values []any) (poison.Message, error) {
	var m poison.Message
	err := json.Unmarshal([]byte(conn.Text(values[0])), &m)
	failures, err1 := strconv.Atoi(conn.Text(values[1]))
	first, err2 := strconv.ParseInt(conn.Text(values[2]), 10, 64)
	size, err3 := strconv.Atoi(conn.Text(values[3]))
	revision, err4 := strconv.ParseInt(conn.Text(values[4]), 10, 64)
	if err := errors.Join(err, err1, err2, err3, err4); err != nil {
		return m, err
	}
	m.Failures, m.FirstFailedAt, m.Size, m.Revision, m.Body = failures, time.UnixMilli(first).UTC(), size, revision, nil
	if len(values) < 7 {
		return m, nil
	}
	var rest details
	if err := json.Unmarshal([]byte(conn.Text(values[5])), &rest); err != nil {
		return m, err
	}
	m.Stack, m.Metadata, m.Body = rest.Stack, rest.Metadata, []byte(conn.Text(values[6]))
	return m, nil
}
