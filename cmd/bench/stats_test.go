package main

import (
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestMedian(t *testing.T) {
	t.Parallel()
	nan := math.NaN()
	for _, tt := range []struct {
		name string
		in   []float64
		want float64
	}{
		{"none", nil, nan},
		{"one", []float64{3}, 3},
		{"odd, unsorted", []float64{9, 1, 5}, 5},
		{"even", []float64{4, 1, 3, 2}, 2.5},
		{"a value that is not a number does not count", []float64{nan, 7, math.Inf(1), 5, 6}, 6},
		{"no numbers", []float64{nan, nan}, nan},
	} {
		if got := median(tt.in); got != tt.want && !(math.IsNaN(got) && math.IsNaN(tt.want)) {
			t.Errorf("%s: median(%v) = %v, want %v", tt.name, tt.in, got, tt.want)
		}
	}
}

func TestMedianLiesInTheMiddle(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		in := rapid.SliceOfN(rapid.Float64Range(-1e6, 1e6), 1, 50).Draw(t, "values")
		before := slices.Clone(in)
		m := median(in)
		if !slices.Equal(before, in) {
			t.Fatal("the values were changed")
		}
		below, above := 0, 0
		for _, v := range in {
			if v < m {
				below++
			}
			if v > m {
				above++
			}
		}
		if 2*below > len(in) || 2*above > len(in) {
			t.Fatalf("%d of %v are below %v, %d above", below, in, m, above)
		}
	})
}

func TestBest(t *testing.T) {
	t.Parallel()
	nan := math.NaN()
	if got := best([]float64{nan, 3, 9}, false); got != 9 {
		t.Errorf("more is better: %v", got)
	}
	if got := best([]float64{nan, 3, 9}, true); got != 3 {
		t.Errorf("less is better: %v", got)
	}
	if got := best([]float64{nan}, true); !math.IsNaN(got) {
		t.Errorf("no numbers: %v", got)
	}
}

func TestRatioIsThatOfEachPair(t *testing.T) {
	t.Parallel()
	// The machine is half as fast in the second pair, for both.
	if got := median(ratios([]float64{80, 40, 90}, []float64{100, 50, 100})); got != 0.8 {
		t.Errorf("got %v, want 0.8", got)
	}
	if got := ratios([]float64{1, 2}, []float64{2}); !slices.Equal(got, []float64{0.5}) {
		t.Errorf("pairs of different lengths: %v", got)
	}
	if got := median(ratios([]float64{1}, []float64{0})); !math.IsNaN(got) {
		t.Errorf("a ratio to no value is %v", got)
	}
}

func TestPercentile(t *testing.T) {
	t.Parallel()
	var took []time.Duration
	for i := 100; i >= 1; i-- {
		took = append(took, time.Duration(i)*time.Millisecond)
	}
	for p, want := range map[float64]float64{50: 50, 99: 99, 100: 100, 0: 1} {
		if got := percentile(took, p); got != want {
			t.Errorf("the percentile %v is %v, want %v", p, got, want)
		}
	}
	if got := percentile(nil, 99); !math.IsNaN(got) {
		t.Errorf("of nothing: %v", got)
	}
}

func TestPerSecond(t *testing.T) {
	t.Parallel()
	if got := perSecond(500, 250*time.Millisecond); got != 2000 {
		t.Errorf("got %v", got)
	}
	if got := perSecond(5, 0); !math.IsNaN(got) {
		t.Errorf("in no time: %v", got)
	}
}
