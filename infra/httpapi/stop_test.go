package httpapi_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/httpapi"
)

// wantStopping checks an answer that lets its client send the command again.
func wantStopping(t *testing.T, status int, header http.Header, body []byte) {
	t.Helper()
	var answer struct {
		Error events.Error `json:"error"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		t.Fatalf("%d %q: %v", status, body, err)
	}
	if status != http.StatusServiceUnavailable || answer.Error.Code != events.CodeShuttingDown || !answer.Error.Retryable || header.Get("Retry-After") == "" {
		t.Errorf("the answer is %d %v %s", status, header, body)
	}
}

// While the service drains, it says so and refuses commands; health and metrics go on.
func TestAPI_Stopping(t *testing.T) {
	t.Parallel()
	stopping := make(chan struct{})
	b := &bus{}
	h := handler(t, func(c *httpapi.Config) {
		c.Commands, c.Stopping = b, stopping
		c.Metrics = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "up 1\n") })
	})
	if w := call(h, "GET", "/readyz", ""); w.Code != http.StatusOK {
		t.Errorf("before the stop it is not ready: %d %s", w.Code, w.Body)
	}
	close(stopping)
	if w := call(h, "GET", "/readyz", ""); w.Code != http.StatusServiceUnavailable || w.Body.String() != "draining\n" {
		t.Errorf("/readyz is %d %q", w.Code, w.Body)
	}
	for _, path := range []string{"/livez", "/metrics", "/v1/projections/a"} {
		if w := call(h, "GET", path, ""); w.Code != http.StatusOK {
			t.Errorf("%s is %d %q", path, w.Code, w.Body)
		}
	}
	for _, target := range []string{"/v1/commands/CREATE_USER", "/v1/commands/CREATE_USER?wait=1s"} {
		w := call(h, "POST", target, ada)
		wantStopping(t, w.Code, w.Header(), w.Body.Bytes())
	}
	if len(b.sent) > 0 {
		t.Errorf("%d commands were sent", len(b.sent))
	}
}

// Commands under way when the patience ends are answered, and can be sent again.
func TestServe_StopAnswersCommands(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		body  string // what is sent of it
		begun func(b *bus, begin func())
	}{
		"a slow body": {body: ada[:5]},
		"on its way to the broker": {body: ada, begun: func(b *bus, begin func()) {
			b.send = func(ctx context.Context) error {
				begin()
				<-ctx.Done()
				return events.Errorf(events.CodeTimeout, "not confirmed: %w", ctx.Err())
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			entered := make(chan struct{})
			b := &bus{}
			if tt.begun != nil {
				tt.begun(b, func() { close(entered) })
			}
			stopping := make(chan struct{})
			api := handler(t, func(c *httpapi.Config) { c.Commands, c.Stopping = b, stopping })
			url, stop, ended := servePatiently(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if tt.begun == nil {
					close(entered)
				}
				api.ServeHTTP(w, r)
			}), 10*time.Millisecond)
			body, send := io.Pipe()
			defer func() { _ = send.Close() }()
			type answer struct {
				resp *http.Response
				err  error
			}
			answers := make(chan answer, 1)
			go func() {
				req, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/v1/commands/CREATE_USER", body)
				req.ContentLength = int64(len(ada))
				resp, err := client(t).Do(req)
				answers <- answer{resp, err}
			}()
			_, _ = io.Copy(send, strings.NewReader(tt.body))
			<-entered
			close(stopping)
			stop()
			a := <-answers
			if a.err != nil {
				t.Fatalf("the connection was cut without an answer: %v", a.err)
			}
			text, err := io.ReadAll(a.resp.Body)
			_ = a.resp.Body.Close()
			if err != nil {
				t.Error(err)
			}
			wantStopping(t, a.resp.StatusCode, a.resp.Header, text)
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
	}
}
