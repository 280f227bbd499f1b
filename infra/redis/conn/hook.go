package conn

import (
	"context"
	"errors"
	"net"

	"github.com/redis/go-redis/v9"
)

// healthHook reports to the health check how every command ended.
type healthHook struct{ health *health }

func (h healthHook) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

func (h healthHook) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		h.health.observe(ctx, err)
		return err
	}
}

func (h healthHook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		err := next(ctx, cmds)
		h.health.observe(ctx, err)
		return err
	}
}

// observe draws its conclusion from the end of one command. One that ended because its
// caller's context did says nothing.
func (h *health) observe(ctx context.Context, err error) {
	switch reply, ok := replyError(err); {
	case ok && refusesWrites(reply):
		h.setBlocked(err)
	case err == nil, ok && (!transient(reply) || firstWord(reply) == "UNBLOCKED"): // The latter is about a key.
		if !h.up.Load() {
			h.setBroken(nil)
		}
	case ctx.Err() == nil && !errors.Is(err, redis.ErrClosed):
		h.setBroken(err)
	}
}
