package redisdb

import (
	"context"
	"errors"
	"strconv"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/redis/go-redis/v9"

	"github.com/pitwheel/pitwheel/events"
)

// parkingKey names a key of a handler's parking; all of a handler's are in one slot.
func (s *Store) parkingKey(handler, name string) string {
	return s.prefix + "{parking:" + handler + "}:" + name
}

// parkingKeys are those that the scripts take, in their order.
func (s *Store) parkingKeys(handler, key string) []string {
	return []string{
		s.parkingKey(handler, "blockers"), s.parkingKey(handler, "order:"+key),
		s.parkingKey(handler, "parked:"+key), s.parkingKey(handler, "count"), s.parkingKey(handler, "done"),
	}
}

// KeyBlocker returns the id of the message that a key of a handler waits for, and
// "" if it waits for none.
func (s *Store) KeyBlocker(ctx context.Context, handler, key string) (string, error) {
	reply, err := s.do(ctx, "hget", s.parkingKey(handler, "blockers"), key)
	if errors.Is(err, redis.Nil) {
		return "", nil
	}
	return text(reply), err
}

// BlockKey makes a key wait for a message, unless it waits for one already, and
// returns the id of the one that it waits for now.
func (s *Store) BlockKey(ctx context.Context, handler, key, id string) (string, error) {
	reply, err := s.run(ctx, s.scripts.parkBlock, s.parkingKeys(handler, key)[:4], key, id)
	return text(reply), err
}

// ParkMessage keeps a message, whole, behind the one that its key waits for, and
// returns the id of that one. If the key waits for none ("") or for the message
// itself, nothing is kept. What is kept already stays in its place, and what was
// handled last needs none.
func (s *Store) ParkMessage(ctx context.Context, handler, key, id string, msg *message.Message) (string, error) {
	reply, err := s.run(ctx, s.scripts.park, s.parkingKeys(handler, key), key, id, packMessage(msg))
	return text(reply), err
}

// ReleaseKey lets a key wait for the first of its parked messages instead of the one
// with the given id, which was handled, or given up; if nothing is parked, for none.
// It returns the message that is to be put into the handler's queue now, and for
// which [Store.UnparkMessage] is to be called then; nil if there is none. It may be
// called again, also for a message that the key does not wait for any more: then it
// returns what another caller was to put into the queue, and may not have.
func (s *Store) ReleaseKey(ctx context.Context, handler, key, id string, handled bool) (string, *message.Message, error) {
	was := 0
	if handled {
		was = 1
	}
	reply, err := s.run(ctx, s.scripts.parkRelease, s.parkingKeys(handler, key), key, id, was)
	if err != nil {
		return "", nil, err
	}
	pair, _ := reply.([]any)
	if len(pair) != 2 {
		return "", nil, nil
	}
	next := text(pair[0])
	msg, err := unpackMessage(text(pair[1]))
	if err != nil {
		return "", nil, events.Errorf(events.CodeUndecodable, "the message %s, parked for %s, cannot be read: %w", next, handler, err)
	}
	return next, msg, nil
}

// UnparkMessage forgets the message that a key waits for, which is in the handler's
// queue now. It does nothing if that is not so.
func (s *Store) UnparkMessage(ctx context.Context, handler, key, id string) error {
	_, err := s.run(ctx, s.scripts.parkDone, s.parkingKeys(handler, key)[:4], key, id)
	return err
}

// CountParked returns how many keys of a handler wait for a message, and how many
// messages are parked.
func (s *Store) CountParked(ctx context.Context, handler string) (keys, messages int, err error) {
	waiting := redis.NewCmd(ctx, "hlen", s.parkingKey(handler, "blockers"))
	parked := redis.NewCmd(ctx, "get", s.parkingKey(handler, "count"))
	if err := send(ctx, s.calls, waiting, parked); err != nil {
		return 0, 0, err
	}
	if keys, err = waiting.Int(); err != nil {
		return 0, 0, s.link.explain(err)
	}
	reply, err := parked.Text()
	if errors.Is(err, redis.Nil) {
		return keys, 0, nil
	}
	if err != nil {
		return 0, 0, s.link.explain(err)
	}
	messages, err = strconv.Atoi(reply)
	return keys, messages, err
}
