package main

import (
	"context"
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

// rounds measures a row in pairs. A row that is not lasting has a space for each pair.
func (b *bench) rounds(ctx context.Context, r row, pairs int) (measured, error) {
	seen := measured{}
	each := 1
	if r.lasting {
		each = pairs
	}
	for from := 0; from < pairs; from += each {
		err := b.inSpace(func(s *space) {
			b.progress("%s  %d/%d  preparing", r.name, from+1, pairs)
			c := r.prepare(ctx, s)
			for pair := from; pair < from+each; pair++ {
				b.round(ctx, r, c, pair, pairs, seen)
			}
		})
		if err != nil {
			return nil, err
		}
	}
	return seen, nil
}

// round runs every contestant once.
func (b *bench) round(ctx context.Context, r row, c contest, pair, pairs int, seen measured) {
	order := roles()
	if pair%2 == 1 {
		slices.Reverse(order) // Over all pairs, no contestant runs first more often.
	}
	for _, as := range order {
		for _, who := range c[as] {
			b.progress("%s  %d/%d  %s", r.name, pair+1, pairs, label(as, who.who))
			runtime.GC() // No contestant collects the garbage of another.
			stop := b.profile(r, as, pair == pairs-1)
			var values []float64
			err := catch(func() { values = who.run(ctx) })
			stop()
			if err == nil && len(values) != len(r.figures) {
				err = events.Errorf(events.CodeInternal, "%d values for %d figures", len(values), len(r.figures))
			}
			if err != nil {
				check(fmt.Errorf("%s: %w", label(as, who.who), err))
			}
			seen.add(as, who.who, values)
		}
	}
}

func label(as role, who string) string {
	if who == "" {
		return string(as)
	}
	return string(as) + ", " + who
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
				out[label(as, who)] = round(v)
			}
		}
	}
	if len(out) == 0 {
		return nil
	}
	return out
}
