package router

import (
	"context"

	"github.com/pitwheel/pitwheel/router/internal/panics"
)

// recover turns a panic into a failed attempt whose error has the stack.
func (c *consumer) recover(next stage) stage {
	subject := "handler " + c.plan.name
	return func(ctx context.Context, d *delivery) (r result) {
		defer func() {
			if value := recover(); value != nil {
				r = fail(panics.Recovered(value, subject))
			}
		}()
		return next(ctx, d)
	}
}
