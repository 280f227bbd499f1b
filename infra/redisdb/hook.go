package redisdb

import (
	"context"
	"errors"
	"net"

	"github.com/redis/go-redis/v9"
)

// pulseHook tells the link how every command ended.
type pulseHook struct{ link *link }

func (h pulseHook) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

func (h pulseHook) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		h.link.heard(ctx, err)
		return err
	}
}

func (h pulseHook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		err := next(ctx, cmds)
		h.link.heard(ctx, err)
		return err
	}
}

// heard judges one answer. What ended because its caller gave up says nothing.
func (l *link) heard(ctx context.Context, err error) {
	switch reply, ok := replyError(err); {
	case ok && blocking(reply):
		l.block(err)
	case err == nil, ok && (!passing(reply) || firstWord(reply) == "UNBLOCKED"): // The latter is about a key.
		if !l.up.Load() {
			l.saw(nil)
		}
	case ctx.Err() == nil && !errors.Is(err, redis.ErrClosed):
		l.saw(err)
	}
}
