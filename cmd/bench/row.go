package main

import (
	"context"
	"fmt"
	"strconv"
)

// row is one piece of work that is measured.
type row struct {
	// name is what -only selects.
	name string
	// figures are what one run of it gives: a contestant's result has as many values.
	figures []figure
	// needs are the brokers it requires.
	needs []broker
	// long rows are not part of -short.
	long bool
	// lasting rows are prepared once for all pairs: what a run leaves behind does not
	// matter to the next one.
	lasting bool
	// prepare gets everything ready for one pair of runs. What it makes is removed
	// with the space after them.
	prepare func(context.Context, *space) contest
}

// figure is one line of the table.
type figure struct {
	name  string
	work  string // in words
	unit  string
	least bool // less is better
	goals []goal
}

// goal is what Pitwheel's figure must reach: a bound, or a multiple of another
// contestant's figure.
type goal struct {
	of    role // "": the bound is absolute
	bound float64
}

// text returns the goal as in the table of RESULTS.md.
func (g goal) text(least bool) string {
	sign := "≥"
	if least {
		sign = "≤"
	}
	bound := strconv.FormatFloat(g.bound, 'f', -1, 64)
	if g.of == "" {
		return fmt.Sprintf("%s %s", sign, thousands(g.bound))
	}
	return fmt.Sprintf("%s %s × %s", sign, bound, g.of)
}

// role is the side that a contestant is on.
type role string

const (
	limit    role = "limit"    // the raw client
	plain    role = "plain"    // plain Watermill
	pitwheel role = "pitwheel" // every middleware on
)

// contest is who runs in one pair. Of several in one role the best one counts.
type contest map[role][]contestant

// contestant does the work once and returns one value for each figure; a figure
// that it has no part in is NaN.
type contestant struct {
	who string
	run func(context.Context) []float64
}

// only is the contestant of its role in a row with a single figure.
func only(f func(context.Context) float64) []contestant { return []contestant{named("", f)} }

// named is one of several contestants in a row with a single figure.
func named(who string, f func(context.Context) float64) contestant {
	return contestant{who, func(ctx context.Context) []float64 { return []float64{f(ctx)} }}
}

// growing runs f for one size after the other, each of which is one figure.
func growing(sizes []int, f func(ctx context.Context, size int) float64) []contestant {
	return []contestant{{"", func(ctx context.Context) []float64 {
		out := make([]float64, len(sizes))
		for i, size := range sizes {
			out[i] = f(ctx, size)
		}
		return out
	}}}
}
