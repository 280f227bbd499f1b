package telemetry_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"pgregory.net/rapid"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/telemetry"
)

func TestNewLogger(t *testing.T) { // Not parallel: it sets NO_COLOR.
	for _, tc := range []struct {
		name, level, format, noColor string
		tty                          bool
		has, hasNot                  []string
	}{
		{name: "terminal", tty: true, has: []string{"\x1b[", "hello", "boom"}, hasNot: []string{"detail", "{"}},
		{name: "terminal without colour", tty: true, noColor: "1", has: []string{"INF hello", "boom"}, hasNot: []string{"\x1b["}},
		{name: "json on a terminal", tty: true, format: "json", has: []string{`"msg":"hello"`}},
		{name: "no terminal", has: []string{`"msg":"hello"`, `"error":"boom"`}, hasNot: []string{"detail"}},
		{name: "text in a file", format: "text", level: "debug", has: []string{"msg=hello", "msg=detail"}, hasNot: []string{"\x1b["}},
		{name: "error", level: "ERROR", hasNot: []string{"hello"}},
		{name: "wrong level", level: "loud", has: []string{"loud", "hello"}, hasNot: []string{"detail"}},
		{name: "wrong format", format: "xml", has: []string{"xml", "hello"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Setenv("NO_COLOR", tc.noColor)
			var out bytes.Buffer
			l := telemetry.NewLogger(&out, tc.tty, tc.level, tc.format)
			l.Debug("detail")
			l.Info("hello", "error", errors.New("boom"))
			for _, s := range tc.has {
				if !strings.Contains(out.String(), s) {
					t.Errorf("no %q in %q", s, out.String())
				}
			}
			for _, s := range tc.hasNot {
				if strings.Contains(out.String(), s) {
					t.Errorf("%q in %q", s, out.String())
				}
			}
		})
	}
}

// A duration has its unit in every format.
func TestNewLogger_Durations(t *testing.T) {
	t.Parallel()
	for format, wants := range map[string][]string{
		"json": {`"pause":"88ms"`, `"any":"1m30s"`, `"waited":"1.5s"`, `"zero":"0s"`, `"n":5`},
		"text": {"pause=88ms", "any=1m30s", "waited=1.5s", "zero=0s", "n=5"},
	} {
		var out bytes.Buffer
		telemetry.NewLogger(&out, false, "", format).Info("retrying", slog.Duration("pause", 88*time.Millisecond), "any", any(90*time.Second),
			"n", 5, "zero", time.Duration(0), slog.Group("g", "waited", 1500*time.Millisecond))
		for _, want := range wants {
			if !strings.Contains(out.String(), want) {
				t.Errorf("no %q in %s", want, &out)
			}
		}
	}
}

func TestWithHint(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	l := telemetry.WithHint(telemetry.NewLogger(&out, false, "info", "json"), "poison_id", func(id string) string { return "shop poison show " + id })
	l.With("application", "shop").Error("poisoned", "poison_id", "17", "code", "X")
	l.Info("other", "id", "18")
	lines := strings.Split(out.String(), "\n")
	if !strings.Contains(lines[0], `"application":"shop","poison_id":"17","code":"X","hint":"shop poison show 17"`) {
		t.Errorf("the line has no hint: %s", lines[0])
	}
	if strings.Contains(lines[1], "hint") {
		t.Errorf("another line has one: %s", lines[1])
	}
}

func TestParseLevel(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]slog.Level{"": slog.LevelInfo, "debug": slog.LevelDebug, "Warn": slog.LevelWarn, "debug-4": telemetry.LevelTrace} {
		if got, err := telemetry.ParseLevel(name); err != nil || got != want {
			t.Errorf("%q: %v, %v", name, got, err)
		}
	}
	if _, err := telemetry.ParseLevel("loud"); events.CodeOf(err) != events.CodeConfig || !strings.Contains(err.Error(), "loud") {
		t.Errorf("error %v", err)
	}
}

// lines returns a Watermill logger and a function that returns what it wrote.
func lines(t *testing.T, level slog.Level) (watermill.LoggerAdapter, func() []map[string]any) {
	var out bytes.Buffer
	l := slog.New(slog.NewJSONHandler(&out, &slog.HandlerOptions{Level: level}))
	return telemetry.WatermillLogger(l), func() []map[string]any {
		var all []map[string]any
		for line := range strings.Lines(out.String()) {
			var m map[string]any
			if err := json.Unmarshal([]byte(line), &m); err != nil {
				t.Fatal(err)
			}
			all = append(all, m)
		}
		return all
	}
}

func TestWatermillLogger_LevelsAndFields(t *testing.T) {
	t.Parallel()
	l, written := lines(t, telemetry.LevelTrace)
	child := l.With(watermill.LogFields{"handler_name": "h"})
	child.Info("starting", watermill.LogFields{"topic": "t"})
	child.Debug("detail", nil)
	child.Trace("message", nil)
	child.Error("failed", errors.New("boom"), watermill.LogFields{"uuid": "u"})
	got := fmt.Sprint(written())
	for i, want := range []string{"level:DEBUG", "level:DEBUG", "level:DEBUG-4", "level:ERROR"} {
		if line := written()[i]; !strings.Contains(fmt.Sprint(line), want) || line["handler_name"] != "h" {
			t.Errorf("line %d is %v, want %s", i, line, want)
		}
	}
	if !strings.Contains(got, "topic:t") || !strings.Contains(got, "error:boom") || !strings.Contains(got, "uuid:u") {
		t.Error(got)
	}
	quiet, nothing := lines(t, slog.LevelInfo)
	quiet.Info("starting", nil)
	if n := len(nothing()); n != 0 {
		t.Errorf("%d lines at Info from a router that starts", n)
	}
}

func TestWatermillLogger_RepeatedErrors(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, written := lines(t, slog.LevelInfo)
		boom := errors.New("boom")
		for range 1000 {
			l.Error("failed", boom, watermill.LogFields{"handler_name": "a"})
		}
		l.With(nil).Error("failed", boom, watermill.LogFields{"handler_name": "a"})
		l.Error("failed", boom, watermill.LogFields{"handler_name": "b"})
		if n := len(written()); n != 2 {
			t.Fatalf("%d lines, want one for each handler", n)
		}
		time.Sleep(10 * time.Second) //nolint:forbidigo // The clock is synctest's; nobody sleeps.
		l.Error("failed", boom, watermill.LogFields{"handler_name": "a"})
		if got := written(); len(got) != 3 || got[2]["left_out"] != 1000.0 {
			t.Errorf("after 10 s: %v", got)
		}
	})
}

func TestWatermillLogger_DifferentErrors(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, written := lines(t, slog.LevelInfo)
		var wg sync.WaitGroup
		for w := range 4 {
			wg.Go(func() {
				for i := range 500 {
					l.Error("failed", fmt.Errorf("message %d-%d", w, i), nil)
				}
			})
		}
		wg.Wait()
		if n := len(written()); n != 65 {
			t.Errorf("%d lines for 2,000 different errors, want 65", n)
		}
		time.Sleep(10 * time.Second) //nolint:forbidigo // The clock is synctest's; nobody sleeps.
		l.Error("failed", errors.New("another"), nil)
		if n := len(written()); n != 66 {
			t.Errorf("a new error after 10 s is not written")
		}
	})
}

func TestNewRegistry(t *testing.T) {
	t.Parallel()
	reg := telemetry.NewRegistry("shop", "v1.2.3", "abc")
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, f := range families {
		names[f.GetName()] = true
		if f.GetName() == "pitwheel_build_info" {
			labels := fmt.Sprint(f.GetMetric()[0].GetLabel())
			if !strings.Contains(labels, "shop") || !strings.Contains(labels, "v1.2.3") || !strings.Contains(labels, "abc") || !strings.Contains(labels, "go1.") {
				t.Errorf("labels %s", labels)
			}
		}
	}
	for _, want := range []string{"pitwheel_build_info", "go_goroutines", "process_open_fds"} {
		if !names[want] {
			t.Errorf("no metric %s", want)
		}
	}
}

func TestBrokerState(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewPedanticRegistry()
	rabbit, redis := telemetry.BrokerState(reg, "rabbitmq"), telemetry.BrokerState(reg, "redis")
	for _, connected := range []bool{false, true, true, false, false, true, false, true} {
		rabbit(connected)
	}
	redis(true)
	redis(false)
	want := `# HELP pitwheel_broker_connected 1 while the broker is connected, else 0.
# TYPE pitwheel_broker_connected gauge
pitwheel_broker_connected{broker="rabbitmq"} 1
pitwheel_broker_connected{broker="redis"} 0
# HELP pitwheel_broker_reconnects_total How often a lost connection with the broker was made again.
# TYPE pitwheel_broker_reconnects_total counter
pitwheel_broker_reconnects_total{broker="rabbitmq"} 2
pitwheel_broker_reconnects_total{broker="redis"} 0
`
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want)); err != nil {
		t.Error(err)
	}
}

func TestBrokerBlocked(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewPedanticRegistry()
	telemetry.BrokerBlocked(reg, "b")(true)
	blocked := telemetry.BrokerBlocked(reg, "a")
	blocked(true)
	blocked(false)
	want := `# HELP pitwheel_broker_blocked 1 while the broker takes nothing that is written, as when it is short of memory or disk, else 0.
# TYPE pitwheel_broker_blocked gauge
pitwheel_broker_blocked{broker="a"} 0
pitwheel_broker_blocked{broker="b"} 1
`
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want)); err != nil {
		t.Error(err)
	}
}

func TestRedactURL(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"":                                       "",
		"localhost:6379":                         "localhost:6379",
		"redis://localhost:6379/0":               "redis://localhost:6379/0",
		"amqp://guest:guest@host:5672/v":         "amqp://guest:xxxxx@host:5672/v",
		"redis://:pw@host":                       "redis://:xxxxx@host",
		"redis://user@host":                      "redis://user@host",
		"redis://:pw@h1,h2:6379":                 "redis://:xxxxx@h1,h2:6379",
		"redis://:pw@h1,redis://:pw2@h2":         "redis://:xxxxx@h2",
		"smtp://u:p/w@x@host":                    "smtp://u:xxxxx@host",
		"guest:secret@host":                      "guest:xxxxx@host",
		"redis://h/0?password=x&db=1&api_key=yz": "redis://h/0?password=xxxxx&db=1&api_key=xxxxx",
	} {
		if got := telemetry.RedactURL(in); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
}

func TestRedactURL_Password(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		// The password's letters occur nowhere else.
		password := rapid.StringMatching(`Q[QZ:/@?,#&= %]{0,12}Z`).Draw(t, "password")
		url := rapid.SampledFrom([]string{"amqp://", "redis://", "smtp://", ""}).Draw(t, "scheme") + "user:" + password + "@host:1"
		if got := telemetry.RedactURL(url); strings.ContainsAny(got, "QZ") {
			t.Fatalf("%q became %q", url, got)
		}
	})
}
