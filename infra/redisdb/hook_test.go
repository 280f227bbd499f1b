package redisdb_test

import (
	"context"

	"github.com/redis/go-redis/v9"
)

// hook stands between a store and its Redis: before is told of each command when it
// is about to be sent, after when it was carried out, and may set another error. What
// is sent at once, swap may replace.
type hook struct {
	before func(redis.Cmder)
	after  func(redis.Cmder)
	swap   func([]redis.Cmder) []redis.Cmder
}

func (h hook) DialHook(next redis.DialHook) redis.DialHook { return next }

func (h hook) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		for _, c := range h.swapped([]redis.Cmder{cmd}) {
			h.each(h.before, c)
			c.SetErr(next(ctx, c))
			h.each(h.after, c)
		}
		return cmd.Err()
	}
}

func (h hook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		cmds = h.swapped(cmds)
		h.each(h.before, cmds...)
		err := next(ctx, cmds)
		h.each(h.after, cmds...)
		return err
	}
}

func (h hook) swapped(cmds []redis.Cmder) []redis.Cmder {
	if h.swap == nil {
		return cmds
	}
	return h.swap(cmds)
}

func (hook) each(f func(redis.Cmder), cmds ...redis.Cmder) {
	for _, cmd := range cmds {
		if f != nil {
			f(cmd)
		}
	}
}
