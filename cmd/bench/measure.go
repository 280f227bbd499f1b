package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"time"

	"github.com/pitwheel/pitwheel/events"
)

// roles are in the order in which the contestants of a pair run.
func roles() []role { return []role{limit, plain, pitwheel} }

// runs are the values of one contestant: runs[figure][pair].
type runs [][]float64

// measured is the result of all pairs of a row.
type measured map[role]map[string]runs

// rounds measures a row in pairs.
func (b *bench) rounds(ctx context.Context, r row, pairs int) (measured, error) {
	seen := measured{}
	for from := 0; from < pairs; {
		to := from + 1
		if r.lasting {
			to = pairs
		}
		if err := b.inSpace(ctx, r, from, to, pairs, seen); err != nil {
			return nil, err
		}
		from = to
	}
	return seen, nil
}

// inSpace prepares a space and runs some of the pairs in it.
func (b *bench) inSpace(ctx context.Context, r row, from, to, pairs int, seen measured) (err error) {
	s := b.newSpace()
	defer func() { err = errors.Join(err, s.clean()) }()
	b.progress("%s  %d/%d  preparing", r.name, from+1, pairs)
	c, err := r.prepare(ctx, s)
	for pair := from; pair < to && err == nil; pair++ {
		err = b.round(ctx, r, c, pair, pairs, seen)
	}
	return err
}

// round runs every contestant once.
func (b *bench) round(ctx context.Context, r row, c contest, pair, pairs int, seen measured) error {
	order := roles()
	if pair%2 == 1 {
		slices.Reverse(order) // Over all pairs, no contestant runs first more often.
	}
	for _, as := range order {
		for _, who := range c[as] {
			b.progress("%s  %d/%d  %s", r.name, pair+1, pairs, label(as, who))
			runtime.GC() // No contestant collects the garbage of another.
			stop := b.profile(r, as, pair == pairs-1)
			values, err := who.run(ctx)
			stop()
			if err != nil {
				return fmt.Errorf("%s: %w", label(as, who), err)
			}
			if len(values) != len(r.figures) {
				return events.Errorf(events.CodeInternal, "%s gave %d values for %d figures", label(as, who), len(values), len(r.figures))
			}
			seen.add(as, who.who, values)
		}
	}
	return nil
}

func label(as role, who contestant) string {
	if who.who == "" {
		return string(as)
	}
	return string(as) + ", " + who.who
}

func (m measured) add(as role, who string, values []float64) {
	if m[as] == nil {
		m[as] = map[string]runs{}
	}
	if m[as][who] == nil {
		m[as][who] = make(runs, len(values))
	}
	for i, v := range values {
		m[as][who][i] = append(m[as][who][i], v)
	}
}

// of returns what a role reached in each pair: its best contestant's value.
func (m measured) of(as role, figure int, least bool) []float64 {
	var out []float64
	for pair := 0; ; pair++ {
		var values []float64
		for _, r := range m[as] {
			if pair < len(r[figure]) {
				values = append(values, r[figure][pair])
			}
		}
		if len(values) == 0 {
			return out
		}
		out = append(out, best(values, least))
	}
}

// result computes one figure: medians, the ratios pair by pair, and the goal.
func (m measured) result(f figure, index, pairs int, took time.Duration) result {
	ours, raw, theirs := m.of(pitwheel, index, f.least), m.of(limit, index, f.least), m.of(plain, index, f.least)
	out := result{
		Name: f.name, Work: f.work, Unit: f.unit, Pairs: pairs, Seconds: number(took.Seconds()),
		Limit: number(median(raw)), Plain: number(median(theirs)), Pitwheel: number(median(ours)),
		RatioLimit: number(median(ratios(ours, raw))), RatioPlain: number(median(ratios(ours, theirs))),
		Variants: m.variants(index),
	}
	out.judge(f)
	return out
}

// variants are the medians of contestants that share a role.
func (m measured) variants(figure int) map[string]float64 {
	out := map[string]float64{}
	for as, all := range m {
		for who, r := range all {
			if v := median(r[figure]); len(all) > 1 && !math.IsNaN(v) {
				out[label(as, contestant{who: who})] = round(v)
			}
		}
	}
	if len(out) == 0 {
		return nil
	}
	return out
}
