package parking

import (
	"context"
	_ "embed" // scripts
	"errors"
	"strconv"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/redis/go-redis/v9"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/redis/conn"
	"github.com/pitwheel/pitwheel/infra/redis/streams"
)

var (
	//go:embed park.lua
	parkLua string
	//go:embed block.lua
	blockLua string
	//go:embed release.lua
	releaseLua string
	//go:embed done.lua
	doneLua string
)

// Parking keeps parked messages. It is safe for concurrent use.
type Parking struct {
	conn                       *conn.Conn
	park, block, release, done *conn.Script
}

// New returns the parking on a connection.
func New(c *conn.Conn) *Parking {
	return &Parking{
		conn: c, park: conn.NewScript(parkLua), block: conn.NewScript(blockLua),
		release: conn.NewScript(releaseLua), done: conn.NewScript(doneLua),
	}
}

// key names a key of a handler's parking; all of a handler's are in one slot.
func (p *Parking) key(handler, name string) string {
	return p.conn.Key("{parking:" + handler + "}:" + name)
}

// keys are those that the scripts take, in their order.
func (p *Parking) keys(handler, key string) []string {
	return []string{
		p.key(handler, "blockers"), p.key(handler, "order:"+key),
		p.key(handler, "parked:"+key), p.key(handler, "count"), p.key(handler, "done"),
	}
}

// KeyBlocker returns the id of the message that a key of a handler waits for, and "" if
// it waits for none.
func (p *Parking) KeyBlocker(ctx context.Context, handler, key string) (string, error) {
	reply, err := p.conn.Do(ctx, "hget", p.key(handler, "blockers"), key)
	if errors.Is(err, redis.Nil) {
		return "", nil
	}
	return conn.Text(reply), err
}

// BlockKey makes a key wait for a message, unless it waits for one already, and
// returns the id of the one that it waits for afterwards.
func (p *Parking) BlockKey(ctx context.Context, handler, key, id string) (string, error) {
	reply, err := p.conn.Run(ctx, p.block, p.keys(handler, key)[:4], key, id)
	return conn.Text(reply), err
}

// ParkMessage keeps a message, whole, behind those that are parked of its key, and returns
// the id of the message that the key waits for. If the key waits for none ("") or for the
// message itself, nothing is parked. A message that is parked already stays in its place,
// and the one that was handled last is not parked.
func (p *Parking) ParkMessage(ctx context.Context, handler, key, id string, msg *message.Message) (string, error) {
	reply, err := p.conn.Run(ctx, p.park, p.keys(handler, key), key, id, streams.Pack(msg))
	return conn.Text(reply), err
}

// ReleaseKey lets a key wait for the first of its parked messages instead of the one with
// the given id, which was handled or poisoned; if nothing is parked, for none. It returns
// the message that is to be published into the handler's queue now, after which
// [Parking.UnparkMessage] is to be called; nil if there is none. It may be called again,
// also for a message that the key does not wait for any more: it then returns what another
// caller was to publish, and may not have.
func (p *Parking) ReleaseKey(ctx context.Context, handler, key, id string, handled bool) (string, *message.Message, error) {
	was := 0
	if handled {
		was = 1
	}
	reply, err := p.conn.Run(ctx, p.release, p.keys(handler, key), key, id, was)
	if err != nil {
		return "", nil, err
	}
	pair, _ := reply.([]any)
	if len(pair) != 2 {
		return "", nil, nil
	}
	next := conn.Text(pair[0])
	msg, err := streams.Unpack(conn.Text(pair[1]))
	if err != nil {
		return "", nil, events.Errorf(events.CodeUndecodable, "the message %s, parked for %s, cannot be read: %w", next, handler, err)
	}
	return next, msg, nil
}

// UnparkMessage ends the parking of the message that a key waits for, which is in the
// handler's queue now. It does nothing if that message is not parked.
func (p *Parking) UnparkMessage(ctx context.Context, handler, key, id string) error {
	_, err := p.conn.Run(ctx, p.done, p.keys(handler, key)[:4], key, id)
	return err
}

// CountParked returns how many keys of a handler wait for a message, and how many
// messages are parked.
func (p *Parking) CountParked(ctx context.Context, handler string) (keys, messages int, err error) {
	waiting := redis.NewCmd(ctx, "hlen", p.key(handler, "blockers"))
	parked := redis.NewCmd(ctx, "get", p.key(handler, "count"))
	if err := p.conn.Send(ctx, waiting, parked); err != nil {
		return 0, 0, err
	}
	if keys, err = waiting.Int(); err != nil {
		return 0, 0, p.conn.Explain(err)
	}
	reply, err := parked.Text()
	if errors.Is(err, redis.Nil) {
		return keys, 0, nil
	}
	if err != nil {
		return 0, 0, p.conn.Explain(err)
	}
	messages, err = strconv.Atoi(reply)
	return keys, messages, err
}
