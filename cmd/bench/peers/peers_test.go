package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
)

// servers is the environment of the command: brokers as the other tests have them.
func servers(key string) string {
	if v := os.Getenv(strings.Replace(key, "PITWHEEL_", "PITWHEEL_TEST_", 1)); v != "" {
		return v
	}
	return os.Getenv(key)
}

// nobody is an environment in which no server answers.
func nobody(key string) string {
	return map[string]string{
		"PITWHEEL_AMQP_URL": "amqp://user:secret@127.0.0.1:1/", "PITWHEEL_REDIS_URL": "redis://:secret@127.0.0.1:1",
		"POSTGRES_URL": "postgres://user:secret@127.0.0.1:1/db", "NATS_URL": "nats://user:secret@127.0.0.1:1",
	}[key]
}

// Each system publishes and consumes a few messages.
func TestCompare(t *testing.T) {
	t.Parallel()
	for _, s := range systems() {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			var stdout, stderr bytes.Buffer
			if code := run(t.Context(), []string{"-n", "200", "-rounds", "1", "-only", s.name, "-o", "json"}, servers, &stdout, &stderr); code != exitOK {
				t.Fatalf("exit %d\n%s", code, stderr.String())
			}
			var rows []row
			if err := json.Unmarshal(stdout.Bytes(), &rows); err != nil || len(rows) != 1 {
				t.Fatalf("%v: %s", err, stdout.String())
			}
			r := rows[0]
			if r.Skipped != "" {
				t.Skip(r.Skipped)
			}
			if r.Name != s.name || r.Title == "" || r.Messages == 0 || r.Publish <= 0 || r.Consume <= 0 || r.Durable == "" || r.Order == "" {
				t.Errorf("%+v", r)
			}
		})
	}
}

// What a system creates is removed after an interrupt, too.
func TestMeasure_Interrupted(t *testing.T) {
	t.Parallel()
	for _, s := range systems() {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			ctx, interrupt := context.WithCancel(t.Context())
			defer interrupt()
			var opened *watched
			open := s.open
			s.open = func(ctx context.Context, at addresses, name string, load []event) (queue, error) {
				q, err := open(ctx, at, name, load)
				if q == nil {
					return nil, err
				}
				opened = &watched{queue: q, interrupt: interrupt}
				return opened, err
			}
			_, _, err := measure(ctx, s, addressesOf(servers), newLoad(200))
			if missing := (missingError{}); errors.As(err, &missing) {
				t.Skip(err)
			}
			if !errors.Is(err, context.Canceled) {
				t.Errorf("it ends with %v", err)
			}
			if opened == nil || !opened.removed {
				t.Error("the queue is still there")
			}
		})
	}
}

// watched is a queue that is interrupted before it is consumed.
type watched struct {
	queue
	interrupt func()
	removed   bool
}

func (w *watched) consume(ctx context.Context, handle func(string)) (func() error, error) {
	w.interrupt()
	return w.queue.consume(ctx, func(string) {})
}

func (w *watched) remove(ctx context.Context) error {
	err := w.queue.remove(ctx)
	w.removed = err == nil
	return err
}

func TestCompare_WithoutServers(t *testing.T) {
	t.Parallel()
	var stdout, stderr bytes.Buffer
	if code := run(t.Context(), []string{"-n", "100"}, nobody, &stdout, &stderr); code != exitOK {
		t.Errorf("exit %d", code)
	}
	for _, want := range []string{"RabbitMQ answers at PITWHEEL_AMQP_URL", "Redis answers at PITWHEEL_REDIS_URL", "PostgreSQL answers at POSTGRES_URL", "NATS answers at NATS_URL"} {
		for _, text := range []string{stdout.String(), stderr.String()} {
			if !strings.Contains(text, want) || strings.Contains(text, "secret") {
				t.Errorf("no %q, or a password, in\n%s", want, text)
			}
		}
	}
	if lines := strings.Count(stdout.String(), "\n"); lines != 2+len(systems()) {
		t.Errorf("the table has %d lines:\n%s", lines, stdout.String())
	}
}

func TestUsage(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"-only", "nothing"}, {"-o", "xml"}, {"-n", "7"}, {"-rounds", "0"}, {"extra"}, {"-unknown"}} {
		var stderr bytes.Buffer
		if code := run(t.Context(), args, nobody, io.Discard, &stderr); code != exitUsage || stderr.Len() == 0 {
			t.Errorf("%v: exit %d, %q", args, code, stderr.String())
		}
	}
	if code := run(t.Context(), []string{"-h"}, nobody, io.Discard, io.Discard); code != exitOK {
		t.Errorf("-h: exit %d", code)
	}
}

func TestLoad(t *testing.T) {
	t.Parallel()
	for i, e := range newLoad(2_000) {
		if len(e.body) != bodySize || idOf(e.body) != e.ID || numberOf(e.ID) != i || e.Version != uint64(i/keys)+1 {
			t.Fatalf("event %d: %d bytes, %s", i, len(e.body), e.body)
		}
	}
	for _, body := range []string{"", `{"id":"`, `{"type":"USER_CREATED"}`} {
		if i := numberOf(idOf([]byte(body))); i != -1 {
			t.Errorf("%s has the number %d", body, i)
		}
	}
}

func TestThousands(t *testing.T) {
	t.Parallel()
	for v, want := range map[float64]string{0: "0", 999.6: "1,000", 12345: "12,345", 1234567: "1,234,567", 100: "100"} {
		if got := thousands(v); got != want {
			t.Errorf("%v is written %s", v, got)
		}
	}
}
