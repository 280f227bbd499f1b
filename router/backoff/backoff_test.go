package backoff_test

import (
	"context"
	"math/big"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/pitwheel/pitwheel/router/backoff"
)

func TestAfter_StaysWithinItsBounds(t *testing.T) {
	t.Parallel()
	const century = 100 * 365 * 24 * time.Hour
	rapid.Check(t, func(t *rapid.T) {
		first := time.Duration(rapid.Int64Range(0, int64(century)).Draw(t, "first"))
		limit := time.Duration(rapid.Int64Range(int64(first), int64(century)).Draw(t, "limit"))
		n := rapid.IntRange(1, 10_000).Draw(t, "n")
		within(t, first, limit, n)
	})
}

// 68.7 s doubled 27 times is more than a time.Duration holds: it was negative, and the
// pause a panic.
func TestAfter_DoesNotOverflow(t *testing.T) {
	t.Parallel()
	for n := 1; n < 100; n++ {
		within(t, 1<<36, 1<<36, n)
		within(t, 1<<36, 1<<40, n)
		within(t, 1, 1<<61, n)
	}
}

// within checks a pause against the same rule in numbers that do not overflow.
func within(t interface{ Fatalf(string, ...any) }, first, limit time.Duration, n int) {
	want := new(big.Int).Lsh(big.NewInt(int64(first)), uint(n-1)) //nolint:gosec // n is 1 or more.
	if most := big.NewInt(int64(limit)); want.Cmp(most) > 0 {
		want = most
	}
	pause := time.Duration(want.Int64())
	if got := backoff.After(first, limit, n); got < pause/2 || got > pause/2+pause {
		t.Fatalf("pause %d of %s up to %s is %s, not within %s and %s", n, first, limit, got, pause/2, pause/2+pause)
	}
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
