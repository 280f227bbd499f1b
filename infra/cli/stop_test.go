package cli

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pitwheel/pitwheel/infra/brokertest"
	"github.com/pitwheel/pitwheel/infra/programtest"
)

// The log says what a stop waits for, and how it has gone.
func TestServe_LogsStop(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, timeout, want string
		code                int
	}{
		{"drained", "10m", `"level":"INFO","msg":"stopped","application":"pitwheel","drained":true,"took":"[^"]+"`, exitOK},
		{"given up", "10ms", `"level":"WARN","msg":"stopped","application":"pitwheel","drained":false,"took":"[^"]+","error":"[^"]*handler send-welcome did not finish within 10ms`, exitTimeout},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			url := brokertest.Redis(t)
			b := brokersAt(t, "", url)
			brokertest.CleanRedis(t, url, b.namespace)
			mails := brokertest.NewProxy(t, b.mails.Addr())
			b.environ = append(slices.Clone(b.environ), "PITWHEEL_SMTP_URL=smtp://"+mails.Addr(), "PITWHEEL_DRAIN_TIMEOUT="+tc.timeout)
			answer := mails.Stall()
			r := b.serve(t)
			if _, err := r.post(t.Context(), "CREATE_USER", fmt.Sprint("stop-", tc.name), `{"email":"a@example.com","name":"A"}`); err != nil {
				t.Fatal(err)
			}
			programtest.Eventually(t, "a mail on its way, and nothing else", func() bool {
				_, page := r.get(t, "/metrics")
				return metric(page, "pitwheel_handler_in_flight", `handler_name="send-welcome"`) == 1 &&
					metric(page, "pitwheel_handler_in_flight", `handler_name="create-user"`) == 0
			})
			r.stop()
			r.errs.Await(t, `"msg":"draining","application":"pitwheel","messages_running":1,"handlers_running":\["send-welcome"\],"until":"20`)
			if tc.code == exitOK {
				answer()
			}
			if code := r.end(t); code != tc.code {
				t.Errorf("the exit code is %d, not %d", code, tc.code)
			}
			r.errs.Await(t, tc.want)
		})
	}
}

// Until the drain is over, HTTP shows how it goes, and refuses commands so that they can be
// sent to another instance.
func TestServe_AnswersWhileDraining(t *testing.T) {
	t.Parallel()
	url := brokertest.Redis(t)
	b := brokersAt(t, "", url)
	brokertest.CleanRedis(t, url, b.namespace)
	mails := brokertest.NewProxy(t, b.mails.Addr())
	b.environ = append(slices.Clone(b.environ), "PITWHEEL_SMTP_URL=smtp://"+mails.Addr(), "PITWHEEL_DRAIN_TIMEOUT=10m")
	answer := mails.Stall()
	r := b.serve(t)
	if _, err := r.post(t.Context(), "CREATE_USER", "draining", `{"email":"a@example.com","name":"A"}`); err != nil {
		t.Fatal(err)
	}
	programtest.Eventually(t, "a mail on its way", func() bool {
		_, page := r.get(t, "/metrics")
		return metric(page, "pitwheel_handler_in_flight", `handler_name="send-welcome"`) == 1
	})
	r.stop()
	r.errs.Await(t, `"msg":"draining"`)
	for range 3 {
		if code, page := r.get(t, "/readyz"); code != http.StatusServiceUnavailable || page != "draining\n" {
			t.Errorf("/readyz answers %d %q", code, page)
		}
		if code, _ := r.get(t, "/livez"); code != http.StatusOK {
			t.Errorf("/livez answers %d", code)
		}
		if code, page := r.get(t, "/metrics"); code != http.StatusOK || metric(page, "pitwheel_handler_in_flight", `handler_name="send-welcome"`) != 1 {
			t.Errorf("/metrics answers %d and no message in flight", code)
		}
		_, err := r.post(t.Context(), "CREATE_USER", "too late", `{"email":"b@example.com","name":"B"}`)
		if err == nil || !strings.Contains(err.Error(), "503") || !strings.Contains(err.Error(), `"code":"SHUTTING_DOWN"`) || !strings.Contains(err.Error(), `"retryable":true`) {
			t.Errorf("a command gets %v", err)
		}
	}
	answer()
	if code := r.end(t); code != exitOK {
		t.Errorf("the exit code is %d", code)
	}
}

// A stop ends soon after the drain timeout, also where a broker does not answer any more. It
// took 10 s longer: so long did relay and projections try to complete their batches.
func TestServe_DrainTimeoutBoundsStop(t *testing.T) {
	t.Parallel()
	for _, broker := range []string{"RabbitMQ", "Redis"} {
		t.Run(broker, func(t *testing.T) {
			t.Parallel()
			redisURL, amqpURL := brokertest.Redis(t), brokertest.AMQP(t)
			clean := brokersAt(t, amqpURL, redisURL)
			rabbit, proxiedRabbit := proxied(t, amqpURL)
			redis, proxiedRedis := proxied(t, redisURL)
			b := brokersAt(t, proxiedRabbit, proxiedRedis)
			clean.namespace = b.namespace
			clean.clean(t)
			brokertest.CleanRedis(t, redisURL, b.namespace)
			b.environ = append(slices.Clone(b.environ), "PITWHEEL_DRAIN_TIMEOUT=1s")
			r := b.serve(t)
			stalled := rabbit
			if broker == "Redis" {
				stalled = redis
			}
			resume := stalled.Stall()
			defer resume()
			// The event is decided here, and on its way from the log to RabbitMQ.
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			if _, err := r.post(ctx, "CREATE_USER", "bounded "+broker, `{"email":"a@example.com","name":"A"}`); err != nil && broker == "RabbitMQ" {
				t.Fatal(err)
			}
			began := time.Now()
			r.stop()
			if code := r.end(t); code != exitOK && code != exitTimeout {
				t.Errorf("the exit code is %d", code)
			}
			// The bound is 2 s; the rest is for a busy machine.
			if took := time.Since(began); took > 8*time.Second {
				t.Errorf("with a drain timeout of 1 s the stop took %s", took)
			} else {
				t.Logf("the stop took %s", took)
			}
		})
	}
}

// proxied returns a proxy of the broker at a URL, and the URL of the proxy.
func proxied(t *testing.T, broker string) (*brokertest.Proxy, string) {
	t.Helper()
	u, err := url.Parse(broker)
	if err != nil {
		t.Fatal(err)
	}
	p := brokertest.NewProxy(t, u.Host)
	u.Host = p.Addr()
	return p, u.String()
}
