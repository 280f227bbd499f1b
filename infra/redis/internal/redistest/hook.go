package redistest

import (
	"context"

	goredis "github.com/redis/go-redis/v9"
)

// Hook stands between a store and its Redis. Before is called with each command before it
// is sent, After when it was carried out, and may set another error. Swap may replace what
// is sent at once.
type Hook struct {
	Before func(goredis.Cmder)
	After  func(goredis.Cmder)
	Swap   func([]goredis.Cmder) []goredis.Cmder
}

// DialHook changes nothing.
func (h Hook) DialHook(next goredis.DialHook) goredis.DialHook { return next }

// ProcessHook calls the functions for one command.
func (h Hook) ProcessHook(next goredis.ProcessHook) goredis.ProcessHook {
	return func(ctx context.Context, cmd goredis.Cmder) error {
		for _, c := range h.swapped([]goredis.Cmder{cmd}) {
			h.each(h.Before, c)
			c.SetErr(next(ctx, c))
			h.each(h.After, c)
		}
		return cmd.Err()
	}
}

// ProcessPipelineHook calls the functions for the commands of a pipeline.
func (h Hook) ProcessPipelineHook(next goredis.ProcessPipelineHook) goredis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []goredis.Cmder) error {
		cmds = h.swapped(cmds)
		h.each(h.Before, cmds...)
		err := next(ctx, cmds)
		h.each(h.After, cmds...)
		return err
	}
}

func (h Hook) swapped(cmds []goredis.Cmder) []goredis.Cmder {
	if h.Swap == nil {
		return cmds
	}
	return h.Swap(cmds)
}

func (Hook) each(f func(goredis.Cmder), cmds ...goredis.Cmder) {
	for _, cmd := range cmds {
		if f != nil {
			f(cmd)
		}
	}
}
