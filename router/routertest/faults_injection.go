package routertest

import (
	"context"
	"slices"
	"time"

	"github.com/pitwheel/pitwheel/router/backoff"
)

// injection is what goes wrong with one call.
type injection struct {
	delay       time.Duration
	holds       []<-chan struct{}
	fail, lose  error
	twice, swap bool
}

func (s *injection) nothing() bool {
	return s.delay == 0 && len(s.holds) == 0 && s.fail == nil && s.lose == nil && !s.twice && !s.swap
}

// inject decides what goes wrong with a call that has so many items: no
// fault is injected that needs more, or fewer than least.
func (f *Faults) inject(point, about string, least, items int) injection {
	f.mu.Lock()
	defer f.mu.Unlock()
	var hit injection
	for _, x := range f.faults {
		if x.needs >= least && x.needs <= items && x.matches(point, about) {
			x.apply(x, &hit)
		}
	}
	return hit
}

// begin waits as long as the call has to wait, unless ctx ends first, and returns why the
// call must not be made, or nil.
func (s *injection) begin(ctx context.Context) error {
	if s.delay > 0 && !backoff.Wait(ctx, s.delay) {
		return ctx.Err()
	}
	for _, released := range s.holds {
		select {
		case <-released:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return s.fail
}

// call makes a call, as far as the faults let it.
func call[T any](ctx context.Context, f *Faults, point, about string, do func() (T, error)) (T, error) {
	hit := f.inject(point, about, 0, 1)
	var none T
	if err := hit.begin(ctx); err != nil {
		return none, err
	}
	v, err := do()
	if err == nil && hit.twice {
		v, err = do()
	}
	if hit.lose != nil {
		return none, hit.lose
	}
	return v, err
}

// act is call for what has no answer but an error.
func act(ctx context.Context, f *Faults, point, about string, do func() error) error {
	_, err := call(ctx, f, point, about, func() (struct{}, error) { return struct{}{}, do() })
	return err
}

// disarranged returns items after they were doubled or swapped.
func disarranged[T any](hit injection, in []T, again func(T) T) []T {
	out := slices.Clone(in)
	if hit.swap {
		for i := 0; i+1 < len(out); i += 2 {
			out[i], out[i+1] = out[i+1], out[i]
		}
	}
	if hit.twice {
		for i := len(out) - 1; i >= 0; i-- {
			out = slices.Insert(out, i+1, again(out[i]))
		}
	}
	return out
}
