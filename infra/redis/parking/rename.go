package parking

import (
	"context"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/pitwheel/pitwheel/infra/redis/conn"
	"github.com/pitwheel/pitwheel/infra/redis/streams"
)

// RenameParking gives what is parked for a handler to another one: a key waits for the same
// message there. What needs to wait no longer is published with the given function, into the
// queue of the other handler: a message that was about to be put into the former queue, and
// everything if the other handler does not keep the order. It returns how many messages were
// parked. If it is interrupted, it is to be called again; a message may be published twice.
func (p *Parking) RenameParking(ctx context.Context, from, to string, ordered bool, publish func(*message.Message) error) (int, error) {
	moved := 0
	err := p.eachKey(ctx, from, func(key, blocker string) error {
		n, err := p.renameKey(ctx, from, to, key, blocker, ordered, publish)
		moved += n
		return err
	})
	return moved, err
}

// DropParking deletes what is parked for a handler.
func (p *Parking) DropParking(ctx context.Context, handler string) error {
	return p.eachKey(ctx, handler, func(key, _ string) error { return p.dropKey(ctx, handler, key) })
}

// eachKey calls f with each key of a handler that waits for a message, and forgets the
// handler once all are gone.
func (p *Parking) eachKey(ctx context.Context, handler string, f func(key, blocker string) error) error {
	reply, err := p.conn.Do(ctx, "hgetall", p.key(handler, "blockers"))
	if err != nil {
		return err
	}
	fields, _ := reply.([]any)
	for i := 0; i+1 < len(fields); i += 2 {
		if err := f(conn.Text(fields[i]), conn.Text(fields[i+1])); err != nil {
			return err
		}
	}
	_, err = p.conn.Do(ctx, "unlink", p.key(handler, "blockers"), p.key(handler, "count"), p.key(handler, "done"))
	return err
}

func (p *Parking) renameKey(ctx context.Context, from, to, key, blocker string, ordered bool, publish func(*message.Message) error) (int, error) {
	reply, err := p.conn.Do(ctx, "lrange", p.key(from, "order:"+key), 0, -1)
	if err != nil {
		return 0, err
	}
	if ordered {
		if _, err := p.BlockKey(ctx, to, key, blocker); err != nil {
			return 0, err
		}
	}
	ids, _ := reply.([]any)
	for _, id := range ids {
		packed, err := p.conn.Do(ctx, "hget", p.key(from, "parked:"+key), id)
		if err != nil {
			return 0, err
		}
		msg, err := streams.Unpack(conn.Text(packed))
		if err != nil {
			return 0, err
		}
		waitsFor := ""
		if ordered {
			if waitsFor, err = p.ParkMessage(ctx, to, key, conn.Text(id), msg); err != nil {
				return 0, err
			}
		}
		if waitsFor == "" || waitsFor == conn.Text(id) {
			msg.SetContext(ctx)
			if err := publish(msg); err != nil {
				return 0, err
			}
		}
	}
	return len(ids), p.dropKey(ctx, from, key)
}

func (p *Parking) dropKey(ctx context.Context, handler, key string) error {
	if _, err := p.conn.Do(ctx, "unlink", p.key(handler, "order:"+key), p.key(handler, "parked:"+key)); err != nil {
		return err
	}
	_, err := p.conn.Do(ctx, "hdel", p.key(handler, "blockers"), key)
	return err
}
