package lazyctx_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pitwheel/pitwheel/router/lazyctx"
)

type key struct{}

// Whether somebody waits or not, the context is that of the standard library.
func TestContext_LikeTheStandardLibrary(t *testing.T) {
	t.Parallel()
	for _, waited := range []bool{false, true} {
		for name, tt := range map[string]struct {
			deadline time.Duration
			end      func(cancelParent func(), c *lazyctx.Context)
			want     error
		}{
			"nothing has happened": {time.Hour, func(func(), *lazyctx.Context) {}, nil},
			"ended":                {time.Hour, func(_ func(), c *lazyctx.Context) { c.End(); c.End() }, context.Canceled},
			"ended, no deadline":   {0, func(_ func(), c *lazyctx.Context) { c.End() }, context.Canceled},
			"parent ended":         {time.Hour, func(cancel func(), _ *lazyctx.Context) { cancel() }, context.Canceled},
			"deadline passed":      {time.Second, func(func(), *lazyctx.Context) { time.Sleep(2 * time.Second) }, context.DeadlineExceeded}, //nolint:forbidigo // The clock is synctest's.
		} {
			synctest.Test(t, func(t *testing.T) {
				parent, cancel := context.WithCancel(context.WithValue(t.Context(), key{}, "v"))
				defer cancel()
				var deadline time.Time
				if tt.deadline > 0 {
					deadline = time.Now().Add(tt.deadline)
				}
				c := lazyctx.New(parent, deadline)
				defer c.End()
				if waited {
					c.Done()
				}
				tt.end(cancel, c)
				synctest.Wait()
				if err := c.Err(); !errors.Is(err, tt.want) || (err == nil) != (tt.want == nil) {
					t.Errorf("%s, waited %v: Err is %v, not %v", name, waited, err, tt.want)
				}
				select {
				case <-c.Done():
					if tt.want == nil {
						t.Errorf("%s: Done is closed", name)
					}
				default:
					if tt.want != nil {
						t.Errorf("%s: Done is open", name)
					}
				}
				if got, ok := c.Deadline(); ok != (tt.deadline > 0) || ok && !got.Equal(deadline) {
					t.Errorf("%s: the deadline is %v, %v", name, got, ok)
				}
				if c.Value(key{}) != "v" {
					t.Errorf("%s: a value of the parent is lost", name)
				}
			})
		}
	}
}

// The earlier deadline of the two counts.
func TestContext_Deadline(t *testing.T) {
	t.Parallel()
	soon, late := time.Now().Add(time.Minute), time.Now().Add(time.Hour)
	parent, cancel := context.WithDeadline(t.Context(), soon)
	defer cancel()
	for _, own := range []time.Time{late, {}} {
		c := lazyctx.New(parent, own)
		if got, ok := c.Deadline(); !ok || !got.Equal(soon) {
			t.Errorf("own deadline %v: got %v, %v", own, got, ok)
		}
		c.End()
	}
}
