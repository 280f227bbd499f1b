package main

import (
	"math"
	"slices"
	"time"
)

// median returns the middle of the values that are numbers; NaN if there are none.
func median(values []float64) float64 {
	sorted := numbers(values)
	if len(sorted) == 0 {
		return math.NaN()
	}
	slices.Sort(sorted)
	mid := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[mid]
	}
	return (sorted[mid-1] + sorted[mid]) / 2
}

// numbers returns the values that are numbers.
func numbers(values []float64) []float64 {
	var out []float64
	for _, v := range values {
		if !math.IsNaN(v) && !math.IsInf(v, 0) {
			out = append(out, v)
		}
	}
	return out
}

// best returns the best of the values that are numbers; NaN if there are none.
func best(values []float64, least bool) float64 {
	known := numbers(values)
	switch {
	case len(known) == 0:
		return math.NaN()
	case least:
		return slices.Min(known)
	}
	return slices.Max(known)
}

// ratios returns a[i]/b[i] for every pair of runs.
func ratios(a, b []float64) []float64 {
	out := make([]float64, min(len(a), len(b)))
	for i := range out {
		out[i] = a[i] / b[i] // NaN if either is; infinite values are left out later.
	}
	return out
}

// percentile returns the value that p percent of the durations do not exceed, in
// milliseconds, by nearest rank; NaN if there are none.
func percentile(durations []time.Duration, p float64) float64 {
	if len(durations) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(durations))
	rank := int(math.Ceil(p / 100 * float64(len(sorted))))
	return milliseconds(sorted[min(max(rank, 1), len(sorted))-1])
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// perSecond is how many a second n in a time are.
func perSecond(n int, d time.Duration) float64 {
	if d <= 0 {
		return math.NaN()
	}
	return float64(n) / d.Seconds()
}
