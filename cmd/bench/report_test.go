package main

import (
	"bytes"
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// someRuns are two pairs of a row with two figures.
func someRuns() measured {
	m, nan := measured{}, math.NaN()
	for _, pair := range []float64{1, 2} { // The second one is twice as fast.
		m.add(limit, "", []float64{1000 * pair, nan})
		m.add(plain, "1 subscriber", []float64{100 * pair, nan})
		m.add(plain, "16 subscribers", []float64{200 * pair, nan})
		m.add(pitwheel, "", []float64{800 * pair, 40 / pair})
	}
	return m
}

func TestResult(t *testing.T) {
	t.Parallel()
	f := figure{name: "row", work: "some work", unit: "msgs/s", goals: []goal{{limit, 0.8}, {plain, 5}}}
	got := someRuns().result(f, 0, 2, 3*time.Second)
	want := result{
		Name: "row", Work: "some work", Unit: "msgs/s", Pairs: 2, Seconds: number(3),
		Limit: number(1500), Plain: number(300), Pitwheel: number(1200), RatioLimit: number(0.8), RatioPlain: number(4),
		Goal: "≥ 0.8 × limit, ≥ 5 × plain", Met: new(bool),
		Variants: map[string]float64{"plain, 1 subscriber": 150, "plain, 16 subscribers": 300},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestResultOfAFigureOnlyPitwheelHas(t *testing.T) {
	t.Parallel()
	f := figure{name: "p99", unit: "ms", least: true, goals: []goal{{"", 50}}}
	got := someRuns().result(f, 1, 2, time.Second)
	if got.Limit != nil || got.Plain != nil || got.RatioLimit != nil || *got.Pitwheel != 30 {
		t.Errorf("%+v", got)
	}
	if got.Goal != "≤ 50" || got.Met == nil || !*got.Met {
		t.Errorf("goal %q, met %v", got.Goal, got.Met)
	}
}

func TestGoalOnWhatDidNotRunIsOpen(t *testing.T) {
	t.Parallel()
	got := without(figure{name: "row", goals: []goal{{limit, 0.8}}})
	if got.Met != nil || got.Goal != "≥ 0.8 × limit" {
		t.Errorf("goal %q, met %v", got.Goal, got.Met)
	}
}

func TestJSONShape(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	done := someRuns().result(figure{name: "row", unit: "ms", least: true}, 1, 2, time.Second)
	if err := printJSON(&out, []result{done, without(figure{name: "other"})}); err != nil {
		t.Fatal(err)
	}
	var got []map[string]any
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatalf("%v in %s", err, out.String())
	}
	for key, want := range map[string]any{"name": "row", "unit": "ms", "limit": nil, "plain": nil, "pitwheel": 30.0, "ratio_limit": nil} {
		if v, ok := got[0][key]; !ok || v != want {
			t.Errorf("%s is %v (there: %v), want %v", key, v, ok, want)
		}
	}
	out.Reset()
	if err := printJSON(&out, nil); err != nil || strings.TrimSpace(out.String()) != "[]" {
		t.Errorf("no rows are %q (%v)", out.String(), err)
	}
}

func TestTable(t *testing.T) {
	t.Parallel()
	f := figure{name: "row", unit: "msgs/s", goals: []goal{{limit, 0.8}}}
	skipped := without(f)
	skipped.Skipped = "no broker"
	var out bytes.Buffer
	if err := printTable(&out, []result{someRuns().result(f, 0, 2, time.Second), skipped}); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(out.String(), "\n")
	for i, want := range map[int][]string{0: {"ROW", "× LIMIT", "MET"}, 1: {"1,500", "300", "1,200", "0.8", "4", "yes"}, 2: {"–", "skipped: no broker"}} {
		for _, w := range want {
			if !strings.Contains(lines[i], w) {
				t.Errorf("no %q in line %d: %q", w, i, lines[i])
			}
		}
	}
}

func TestNumbersForPeople(t *testing.T) {
	t.Parallel()
	for in, want := range map[float64]string{
		0: "0", 0.123456: "0.1235", 4: "4", 12.3456: "12.35", 99.5: "99.5", 100: "100", 999.6: "1,000", 48300: "48,300", 1234567: "1,234,567", -1234: "-1,234",
	} {
		if got := thousands(in); got != want {
			t.Errorf("%v is written %q, want %q", in, got, want)
		}
	}
}
