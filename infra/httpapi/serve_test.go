package httpapi_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/httpapi"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve runs h and returns its URL, a function that stops it, and what Serve answered. The
// patience with requests in progress ends a minute after the stop.
func serve(t *testing.T, h http.Handler) (string, func(), <-chan error) {
	t.Helper()
	return servePatiently(t, h, time.Minute)
}

func servePatiently(t *testing.T, h http.Handler, d time.Duration) (string, func(), <-chan error) {
	t.Helper()
	l, err := httpapi.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	patience, lose := context.WithCancel(context.Background())
	t.Cleanup(lose)
	context.AfterFunc(ctx, func() { time.AfterFunc(d, lose) })
	ended := make(chan error, 1)
	go func() { ended <- httpapi.Serve(ctx, patience, l, h) }()
	return "http://" + l.Addr().String(), stop, ended
}

func client(t *testing.T) *http.Client {
	tr := &http.Transport{}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

func TestServe_DrainsRequests(t *testing.T) {
	t.Parallel()
	entered, finish := make(chan struct{}), make(chan struct{})
	url, stop, ended := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/nobody" {
			return
		}
		close(entered)
		<-finish
		_, _ = io.WriteString(w, "done")
	}))
	body := make(chan string, 1)
	c := client(t)
	go func() {
		resp, err := c.Get(url)
		if err != nil {
			body <- err.Error()
			return
		}
		defer resp.Body.Close()
		b, _ := io.ReadAll(resp.Body)
		body <- string(b)
	}()
	<-entered
	stop()
	refuse(t, url)
	close(finish)
	if got := <-body; got != "done" {
		t.Errorf("the request under way got %q", got)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// refuse waits until url takes no new connections.
func refuse(t *testing.T, url string) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; {
		resp, err := client(t).Get(url + "/nobody")
		if err != nil {
			return
		}
		_ = resp.Body.Close()
		if time.Now().After(deadline) {
			t.Fatal("a stopping server still takes connections")
		}
	}
}

func TestServe_StopWhileWaiting(t *testing.T) {
	t.Parallel()
	entered := make(chan struct{})
	b := &bus{await: func(ctx context.Context) error {
		close(entered)
		<-ctx.Done()
		return events.Errorf(events.CodeTimeout, "no outcome: %w", ctx.Err())
	}}
	url, stop, ended := servePatiently(t, handler(t, func(c *httpapi.Config) { c.Commands = b }), 10*time.Millisecond)
	type answer struct {
		status int
		body   map[string]any
	}
	answers := make(chan answer, 1)
	c := client(t)
	go func() {
		var a answer
		if resp, err := c.Post(url+"/v1/commands/CREATE_USER?wait=60s", "application/json", strings.NewReader(ada)); err == nil {
			a.status = resp.StatusCode
			_ = json.NewDecoder(resp.Body).Decode(&a.body)
			_ = resp.Body.Close()
		}
		answers <- a
	}()
	<-entered
	start := time.Now()
	stop()
	if a := <-answers; a.status != 202 || a.body["status"] != "unknown" || a.body["command_id"] == "" {
		t.Errorf("got %v", a)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if d := time.Since(start); d > 30*time.Second {
		t.Errorf("the stop took %s", d)
	}
}

func TestListen_AddressInUse(t *testing.T) {
	t.Parallel()
	l, err := httpapi.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, err = httpapi.Listen(l.Addr().String())
	var e *events.Error
	if !errors.As(err, &e) || e.Code != events.CodeConfig || e.Field != "Addr" || !strings.Contains(e.Message, l.Addr().String()) {
		t.Errorf("%#v", err)
	}
	if _, err := httpapi.Listen("nowhere"); !errors.As(err, &e) || e.Code != events.CodeConfig || e.Field != "Addr" {
		t.Errorf("a wrong address: %v", err)
	}
}

func TestServe_BrokenListener(t *testing.T) {
	t.Parallel()
	l, err := httpapi.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	if err := httpapi.Serve(t.Context(), t.Context(), l, http.NotFoundHandler()); err == nil {
		t.Error("no error")
	}
}
