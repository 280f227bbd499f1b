package backoff_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/pitwheel/pitwheel/router/backoff"
)

func TestAfter_StaysWithinItsBounds(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		first := time.Duration(rapid.Int64Range(int64(time.Millisecond), int64(time.Hour)).Draw(t, "first"))
		limit := time.Duration(rapid.Int64Range(int64(first), int64(24*time.Hour)).Draw(t, "limit"))
		n := rapid.IntRange(1, 10_000).Draw(t, "n")
		want := limit
		if doubled := float64(first) * float64(uint64(1)<<min(n-1, 40)); doubled < float64(limit) {
			want = time.Duration(doubled)
		}
		if got := backoff.After(first, limit, n); got < want/2 || got > want/2+want+1 {
			t.Fatalf("the pause after failure %d is %s, not within %s and %s", n, got, want/2, want/2+want)
		}
	})
}

func TestBackoff_Wait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := backoff.Backoff{Min: time.Second, Max: 4 * time.Second}
		for i, most := range []time.Duration{1500 * time.Millisecond, 3 * time.Second, 6 * time.Second, 6 * time.Second} {
			began := time.Now()
			if !b.Wait(t.Context()) {
				t.Fatal("the wait was cut short")
			}
			if took := time.Since(began); took > most+time.Nanosecond || took < most/3 {
				t.Errorf("pause %d took %s, and %s is the most", i+1, took, most)
			}
		}
		b.Reset()
		began := time.Now()
		b.Wait(t.Context())
		if took := time.Since(began); took > 1500*time.Millisecond+time.Nanosecond {
			t.Errorf("the first pause after Reset took %s", took)
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if b.Wait(ended) {
			t.Error("Wait went on although its context had ended")
		}
	})
}
