package main

import (
	"context"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestHTTPClient(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		switch r.URL.RequestURI() {
		case "/echo?wait=1s":
			_, _ = w.Write(body)
		case "/empty":
			w.WriteHeader(http.StatusAccepted)
		case "/endless":
			_ = http.NewResponseController(w).Flush() // Its length is not known by now.
		default:
			http.Error(w, "no such path", http.StatusNotFound)
		}
	}))
	defer server.Close()
	var broken string
	err := catch(func() {
		c := dialHTTP(t.Context(), strings.TrimPrefix(server.URL, "http://"), 1)
		for range 3 { // One connection serves them all.
			check(c.do(t.Context(), c.post("/echo?wait=1s", "hello"), http.StatusOK))
			check(c.do(t.Context(), c.post("/empty", ""), http.StatusAccepted))
		}
		conn := <-c.idle
		if status, body, err := conn.roundTrip(c.post("/echo?wait=1s", "hello")); status != http.StatusOK || string(body) != "hello" || err != nil {
			t.Errorf("%d %q %v", status, body, err)
		}
		c.idle <- conn
		if err := c.do(t.Context(), c.post("/other", ""), http.StatusOK); err == nil || !strings.Contains(err.Error(), "404") || !strings.Contains(err.Error(), "no such path") {
			t.Errorf("a wrong status: %v", err)
		}
		broken = c.do(t.Context(), c.post("/endless", ""), http.StatusOK).Error()
	})
	if err != nil {
		t.Error(err)
	}
	if !strings.Contains(broken, "Content-Length") {
		t.Errorf("a response without a length: %s", broken)
	}
}

// The application in process, which needs no broker, has all figures.
func TestOverHTTP(t *testing.T) {
	t.Parallel()
	b := newBench(options{short: true}, noBrokers, io.Discard)
	b.probe(t.Context()) // There is nothing to remove from brokers that are missing.
	var values []float64
	err := b.inSpace(func(s *space) {
		values = s.serveHTTP(t.Context(), onEmbedded, func(ctx context.Context, h *httpApp) []float64 { return h.measure(ctx, 20, 20) })
	})
	if err != nil {
		t.Fatal(err)
	}
	if want := len(httpFigures(onEmbedded, "")); len(values) != want {
		t.Fatalf("%d values, want %d", len(values), want)
	}
	for i, v := range values {
		if math.IsNaN(v) || v <= 0 {
			t.Errorf("value %d is %v", i, v)
		}
	}
}
