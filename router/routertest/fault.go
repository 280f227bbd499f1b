package routertest

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// Fault is one thing that goes wrong.
type Fault struct {
	schedule Schedule
	needs    int // how many neighbours a call must have to be struck
	apply    func(*strike)

	// The rest is guarded by the Faults' lock.
	rand         *rand.Rand
	seen, struck int
	news         chan struct{} // closed at the next strike
	ended        chan struct{}
}

func (x *Fault) begin() *Fault {
	f := x.schedule.faults
	f.mu.Lock()
	defer f.mu.Unlock()
	x.rand = rand.New(rand.NewPCG(f.Seed, f.made)) //nolint:gosec // The seed is there to be known.
	f.made++
	f.faults = append(f.faults, x)
	return x
}

// Struck is how many calls it has struck.
func (x *Fault) Struck() int {
	f := x.schedule.faults
	f.mu.Lock()
	defer f.mu.Unlock()
	return x.struck
}

// Await waits until it has struck n times. If that takes too long, the test fails.
func (x *Fault) Await(t testing.TB, n int) {
	t.Helper()
	f := x.schedule.faults
	late := time.After(patience)
	for {
		f.mu.Lock()
		struck, news := x.struck, x.news
		f.mu.Unlock()
		if struck >= n {
			return
		}
		select {
		case <-news:
		case <-late:
			t.Fatalf("routertest: after %s the fault on %v has struck %d times, not %d", patience, x.schedule.calls, struck, n)
		}
	}
}

// End ends the fault, and lets go on what it holds.
func (x *Fault) End() {
	f := x.schedule.faults
	f.mu.Lock()
	defer f.mu.Unlock()
	if i := slices.Index(f.faults, x); i >= 0 {
		f.faults = slices.Delete(f.faults, i, i+1)
		close(x.ended)
	}
}

// strikes decides whether a call is struck. The caller holds the Faults' lock.
func (x *Fault) strikes(point, about string) bool {
	s := x.schedule
	named := slices.Contains(s.calls, "*") || slices.Contains(s.calls, point) || slices.Contains(s.calls, point+" "+about)
	if !named {
		return false
	}
	x.seen++
	n := x.seen - s.skip
	switch {
	case n <= 0, n%s.every != 0, s.times > 0 && x.struck >= s.times:
		return false
	case x.rand.Float64() >= s.chance:
		return false
	}
	x.struck++
	close(x.news)
	x.news = make(chan struct{})
	return true
}
