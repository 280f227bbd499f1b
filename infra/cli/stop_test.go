package cli

import (
	"fmt"
	"slices"
	"testing"

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
