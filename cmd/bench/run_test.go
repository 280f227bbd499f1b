package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestChoose(t *testing.T) {
	t.Parallel()
	all := []row{
		{name: "rabbit-a", figures: []figure{{name: "rabbit-a"}, {name: "second"}}},
		{name: "rabbit-b", figures: []figure{{name: "rabbit-b"}}},
		{name: "long", long: true, figures: []figure{{name: "long-1"}}},
	}
	for _, tt := range []struct {
		name string
		o    options
		want []string
	}{
		{"everything", options{}, []string{"rabbit-a", "rabbit-b", "long"}},
		{"short", options{short: true}, []string{"rabbit-a", "rabbit-b"}},
		{"short with growth", options{short: true, growth: true}, []string{"rabbit-a", "rabbit-b", "long"}},
		{"one", options{only: "rabbit-b"}, []string{"rabbit-b"}},
		{"a beginning", options{only: "rabbit"}, []string{"rabbit-a", "rabbit-b"}},
		{"a figure", options{only: "second"}, []string{"rabbit-a"}},
		{"several, in the order of the list", options{only: "long,rabbit-a"}, []string{"rabbit-a", "long"}},
		{"a long one is run when it is named", options{only: "long-1", short: true}, []string{"long"}},
	} {
		got, err := choose(all, tt.o)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
		if diff := cmp.Diff(tt.want, names(got)); diff != "" {
			t.Errorf("%s: %s", tt.name, diff)
		}
	}
	if _, err := choose(all, options{only: "rabbit,nothing"}); err == nil || !strings.Contains(err.Error(), "rabbit-b") {
		t.Errorf("an unknown name: %v", err)
	}
}

func TestUsage(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"-only", "nothing"}, {"-o", "xml"}, {"-pairs", "0"}, {"extra"}, {"-unknown"}} {
		var stderr bytes.Buffer
		if code := run(t.Context(), args, io.Discard, &stderr); code != exitUsage || stderr.Len() == 0 {
			t.Errorf("%v: exit %d, %q", args, code, stderr.String())
		}
	}
	if code := run(t.Context(), []string{"-h"}, io.Discard, io.Discard); code != exitOK {
		t.Errorf("-h: exit %d", code)
	}
}

// Every row says what it measures, and its name is unique.
func TestRowsAreComplete(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, r := range rows() {
		if r.prepare == nil || len(r.figures) == 0 {
			t.Errorf("%s measures nothing", r.name)
		}
		for _, f := range r.figures {
			if f.name == "" || f.work == "" || f.unit == "" || seen[f.name] {
				t.Errorf("the figure %+v of %s is incomplete, or a duplicate", f, r.name)
			}
			if !strings.HasPrefix(f.name, strings.SplitN(r.name, "-", 2)[0]) {
				t.Errorf("the figure %s is not found under the row %s", f.name, r.name)
			}
			seen[f.name] = true
		}
	}
}

// noBrokers is an environment in which no broker answers.
func noBrokers(key string) string {
	return map[string]string{"PITWHEEL_AMQP_URL": "amqp://user:secret@127.0.0.1:1/", "PITWHEEL_REDIS_URL": "redis://:secret@127.0.0.1:1"}[key]
}

// A tiny run of the row that needs no broker, and one that lacks its broker.
func TestSmoke(t *testing.T) {
	t.Parallel()
	var stderr bytes.Buffer
	b := newBench(options{short: true}, noBrokers, &stderr)
	chosen := []row{
		{name: "tiny", prepare: func(context.Context, *space) contest { return inProcess(2_000) }, figures: []figure{{name: "tiny", work: "router", unit: "msgs/s", goals: []goal{{limit, 0.001}}}}},
		{name: "lacking", needs: []broker{redisDB, rabbitMQ}, figures: []figure{{name: "lacking"}}},
	}
	results, failed := b.all(t.Context(), chosen, 3)
	if failed || len(results) != 2 {
		t.Fatalf("failed: %v, %d results\n%s", failed, len(results), stderr.String())
	}
	tiny := results[0]
	if tiny.Limit == nil || tiny.Plain == nil || tiny.Pitwheel == nil || *tiny.Pitwheel <= 0 || tiny.Met == nil || !*tiny.Met || tiny.Pairs != 3 {
		t.Errorf("%+v", tiny)
	}
	if results[1].Skipped == "" || results[1].Error != "" {
		t.Errorf("a row without its broker: %+v", results[1])
	}
	for _, want := range []string{"tiny  1/3  limit", "tiny  3/3  pitwheel", "tiny  done", "lacking  skipped"} {
		if !strings.Contains(stderr.String(), want) {
			t.Errorf("no %q in the progress:\n%s", want, stderr.String())
		}
	}
	if strings.Contains(stderr.String(), "secret") {
		t.Errorf("a password is shown:\n%s", stderr.String())
	}
}

func TestARowThatFailsIsToldAndTheOthersRun(t *testing.T) {
	t.Parallel()
	fails := func(context.Context, *space) contest {
		return contest{pitwheel: only(func(context.Context) float64 { return get(7.0, io.ErrUnexpectedEOF) })}
	}
	works := func(context.Context, *space) contest {
		return contest{pitwheel: only(func(context.Context) float64 { return 7 })}
	}
	b := newBench(options{}, noBrokers, io.Discard)
	results, failed := b.all(t.Context(), []row{
		{name: "a", prepare: fails, figures: []figure{{name: "a"}}}, {name: "b", prepare: works, figures: []figure{{name: "b"}}},
	}, 1)
	if !failed || len(results) != 2 || results[0].Error == "" || results[1].Error != "" || *results[1].Pitwheel != 7 {
		text, _ := json.Marshal(results)
		t.Errorf("failed: %v, %s", failed, text)
	}
}
