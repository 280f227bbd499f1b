package cli

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

// TestDev looks at what dev shows and serves.
func TestDev(t *testing.T) {
	t.Parallel()
	dev := startDev(t, "--rate", "50/s")
	screen, _, _ := strings.Cut(dev.out.String(), "Ctrl-C ends it")
	if lines := strings.Count(screen, "\n"); lines > 23 {
		t.Errorf("the start needs %d lines, more than one screen", lines)
	}
	for _, want := range []string{"nothing is durable", "create-user, change-user-email, deactivate-user, send-welcome, user-directory", "send CREATE_USER -f email=", "event tail", "projection rows user-directory"} {
		if !strings.Contains(screen, want) {
			t.Errorf("the start does not say %q:\n%s", want, screen)
		}
	}
	for _, pattern := range []string{`event +USER_CREATED v1 +user `, `mail +\S+@example.com`, `row +user-directory`, `event +USER_EMAIL_CHANGED v\d+`, `event +USER_DEACTIVATED`, `rejected +user \S+ +[A-Z_]+: `} {
		dev.out.Await(t, pattern)
	}
	if code, body := dev.get(t, "/readyz"); code != http.StatusOK {
		t.Errorf("/readyz says %d %s", code, body)
	}
	_, page := dev.get(t, "/metrics")
	for _, name := range []string{"handler_execution_time_seconds_count", "publish_time_seconds_count", "subscriber_messages_received_total", "pitwheel_handler_messages_total",
		"pitwheel_handler_in_flight", "pitwheel_handler_attempt_seconds_count", "pitwheel_message_age_seconds_count", "pitwheel_handler_paused", "pitwheel_commands_total",
		"pitwheel_append_seconds_count", "pitwheel_append_conflicts_total", "pitwheel_relay_lag_events", "pitwheel_projection_lag_events",
		"pitwheel_broker_connected", "pitwheel_broker_reconnects_total", "pitwheel_build_info"} {
		if !strings.Contains(page, "\n"+name) {
			t.Errorf("/metrics has no %s", name)
		}
	}
	var mails []struct{ To, Subject string }
	if _, body := dev.get(t, "/mail"); json.Unmarshal([]byte(body), &mails) != nil || len(mails) == 0 || !strings.HasPrefix(mails[0].Subject, "Welcome") {
		t.Errorf("/mail says %s", body)
	}
	if code := dev.end(t); code != exitOK {
		t.Errorf("the exit code is %d", code)
	}
}

// TestDev_AddressInUse has errors name the setting of an address that is in use.
func TestDev_AddressInUse(t *testing.T) {
	t.Parallel()
	dev := startDev(t, "--sample=false")
	free := map[string]string{"PITWHEEL_DEV_REDIS_ADDR": "127.0.0.1:0", "PITWHEEL_DEV_SMTP_ADDR": "127.0.0.1:0", "PITWHEEL_HTTP_ADDR": "127.0.0.1:0"}
	for taken := range free {
		var environ []string
		for name, value := range free {
			if name == taken {
				value = dev.http // Whatever listens there.
			}
			environ = append(environ, name+"="+value)
		}
		r := pitwheel(t, environ, "dev")
		if r.code != exitUsage || !strings.Contains(r.stderr, taken) || !strings.Contains(r.stderr, "in use") {
			t.Errorf("%s is taken: exit code %d, %s", taken, r.code, r.stderr)
		}
	}
}

// TestSend_Timeout sends a command that no handler decides in time.
func TestSend_Timeout(t *testing.T) {
	t.Parallel()
	paused := written(t, "handlers: {create-user: {paused: true}}")
	dev := startDev(t, "--sample=false", "--config", paused)
	if code, body := dev.get(t, "/readyz"); code != http.StatusOK || !strings.Contains(body, "create-user: paused") {
		t.Errorf("/readyz says %d %s", code, body)
	}
	r := pitwheel(t, dev.environ, "send", "CREATE_USER", "-f", "email=a@example.com", "-f", "name=A", "--id", "6f2b1f6e-52a1-4d0c-9a55-0d0f6a1c0001", "--wait", "--timeout", "300ms", "-o", "json")
	if r.code != exitTimeout || !strings.Contains(r.stderr, `"code":"TIMEOUT"`) || !strings.Contains(r.stderr, "--id 6f2b1f6e-52a1-4d0c-9a55-0d0f6a1c0001") || !strings.Contains(r.stderr, "poison list --handler create-user`") || r.stdout != "" {
		t.Errorf("exit code %d\nstdout: %s\nstderr: %s", r.code, r.stdout, r.stderr)
	}
}

// TestDev_LeavesNoGoroutines runs alone, so that every goroutine left is dev's.
func TestDev_LeavesNoGoroutines(t *testing.T) {
	before := goleak.IgnoreCurrent()
	dev := startDev(t, "--rate", "100/s")
	dev.out.Await(t, `row +user-directory`)
	pitwheel(t, dev.environ, "send", "CREATE_USER", "-f", "email=a@example.com", "-f", "name=A", "--wait").ok(t)
	if code := dev.end(t); code != exitOK {
		t.Errorf("the exit code is %d", code)
	}
	goleak.VerifyNone(t, before)
}
