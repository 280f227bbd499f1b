package routertest

import (
	"context"
	"slices"
	"time"
)

// strike is what goes wrong with one call.
type strike struct {
	delay       time.Duration
	holds       []<-chan struct{}
	fail, lose  error
	twice, swap bool
}

func (s *strike) nothing() bool {
	return s.delay == 0 && len(s.holds) == 0 && s.fail == nil && s.lose == nil && !s.twice && !s.swap
}

// strike decides what goes wrong with a call that is about so many neighbours: no
// fault strikes it that needs more, or fewer than least.
func (f *Faults) strike(point, about string, least, neighbours int) strike {
	f.mu.Lock()
	defer f.mu.Unlock()
	var hit strike
	for _, x := range f.faults {
		if x.needs >= least && x.needs <= neighbours && x.strikes(point, about) {
			x.apply(&hit)
		}
	}
	return hit
}

// wait spends what the call has to wait, unless ctx ends first.
func (s *strike) wait(ctx context.Context) error {
	if s.delay > 0 {
		timer := time.NewTimer(s.delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	for _, released := range s.holds {
		select {
		case <-released:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// call makes a call, as far as the faults let it.
func call[T any](ctx context.Context, f *Faults, point, about string, do func() (T, error)) (T, error) {
	hit := f.strike(point, about, 0, 1)
	var none T
	if err := hit.wait(ctx); err != nil {
		return none, err
	}
	if hit.fail != nil {
		return none, hit.fail
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

// disarranged returns what neighbours look like that were doubled or have changed places.
func disarranged[T any](s strike, in []T, again func(T) T) []T {
	if !s.twice && !s.swap {
		return in
	}
	out := slices.Clone(in)
	if s.swap {
		for i := 0; i+1 < len(out); i += 2 {
			out[i], out[i+1] = out[i+1], out[i]
		}
	}
	if !s.twice {
		return out
	}
	doubled := make([]T, 0, 2*len(out))
	for _, v := range out {
		doubled = append(doubled, v, again(v))
	}
	return doubled
}
