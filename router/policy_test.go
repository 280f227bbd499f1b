package router

import (
	"testing"
	"time"

	"github.com/pitwheel/pitwheel/router/backoff"
)

// With the defaults a message outlasts an ordinary outage of what its handler needs, and is
// seen by people within an hour.
func TestPolicy_DefaultPausesTakeMinutes(t *testing.T) {
	t.Parallel()
	p, _, errs := effective("h", Policy{}, Overrides{})
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	var longest, shortest time.Duration
	for n := 1; n < p.Attempts; n++ {
		low, high := time.Hour, time.Duration(0)
		for range 1000 {
			pause := backoff.After(p.Backoff, p.MaxBackoff, n)
			low, high = min(low, pause), max(high, pause)
		}
		shortest, longest = shortest+low, longest+high
	}
	if shortest < 3*time.Minute || longest > 10*time.Minute {
		t.Errorf("all pauses take %s to %s", shortest, longest)
	}
}
