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
	needs    int // how many messages or events a call must have for the fault to be injected
	apply    func(*Fault, *injection)

	// The rest is guarded by the Faults' lock.
	rand           *rand.Rand
	seen, injected int
	news           chan struct{} // closed at the next injection
	ended          chan struct{}
}

// Injected returns how many calls the fault was injected into.
func (x *Fault) Injected() int {
	f := x.schedule.faults
	f.mu.Lock()
	defer f.mu.Unlock()
	return x.injected
}

// Await waits until it was injected n times. If that takes too long, the test fails.
func (x *Fault) Await(t testing.TB, n int) {
	t.Helper()
	f := x.schedule.faults
	late := time.After(patience)
	for {
		f.mu.Lock()
		injected, news := x.injected, x.news
		f.mu.Unlock()
		if injected >= n {
			return
		}
		select {
		case <-news:
		case <-late:
			t.Fatalf("routertest: after %s the fault on %v was injected %d times, not %d", patience, x.schedule.calls, injected, n)
		}
	}
}

// End ends the fault, and releases the calls that it holds.
func (x *Fault) End() {
	f := x.schedule.faults
	f.mu.Lock()
	defer f.mu.Unlock()
	if i := slices.Index(f.faults, x); i >= 0 {
		f.faults = slices.Delete(f.faults, i, i+1)
		close(x.ended)
	}
}

// matches reports whether the fault is injected into a call, and counts it. The caller holds the Faults' lock.
func (x *Fault) matches(point, about string) bool {
	s := x.schedule
	if !slices.ContainsFunc(s.calls, func(c string) bool { return c == "*" || c == point || c == point+" "+about }) {
		return false
	}
	x.seen++
	n := x.seen - s.skip
	if n <= 0 || n%s.every != 0 || s.times > 0 && x.injected >= s.times || x.rand.Float64() >= s.chance {
		return false
	}
	x.injected++
	close(x.news)
	x.news = make(chan struct{})
	return true
}
