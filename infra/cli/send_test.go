package cli

import (
	"net"
	"strings"
	"testing"
	"time"
)

// deafBroker listens and never answers. It returns its address.
func deafBroker(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l.Addr().String() // The kernel takes the connections.
}

// The time-out of send bounds how long it looks for its brokers, too.
func TestSend_UnresponsiveBrokers(t *testing.T) {
	t.Parallel()
	deaf := deafBroker(t)
	b := newTestStore(t)
	for name, environ := range map[string][]string{
		"Redis":    {"PITWHEEL_REDIS_URL=redis://" + deaf},
		"the dev":  {"PITWHEEL_DEV_REDIS_ADDR=" + deaf},
		"RabbitMQ": append(b.environ, "PITWHEEL_AMQP_URL=amqp://"+deaf),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			began := time.Now()
			r := pitwheel(t, environ, "send", "CREATE_USER", "-f", "email=ada@example.com", "-f", "name=Ada", "--wait", "--timeout", "200ms").exits(t, exitUnreachable)
			if took := time.Since(began); took >= reachLocalTimeout {
				t.Errorf("it took %s: %s", took, r.stderr)
			}
		})
	}
}

// A misspelt field is named before the one that is missing for it.
func TestSend_MisspeltField(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ args, want string }{
		{"-f emial=a@example.com -f name=A", `emial: is not a field of CREATE_USER; it has userId (optional), email, name; the nearest is "email"`},
		{`-d {"mail":"a@example.com"}`, `mail: is not a field of CREATE_USER; it has userId (optional), email, name; the nearest is "email"`},
		{"-f name=A", "email: is missing; CREATE_USER has the fields userId (optional), email, name"},
		{"-f name=A -f email=a", `email: "a" is not a mail address`},
	} {
		r := pitwheel(t, nil, append([]string{"send", "CREATE_USER"}, strings.Fields(tt.args)...)...).exits(t, exitRejected)
		if want := "pitwheel: " + tt.want + "\n"; r.stderr != want {
			t.Errorf("%s: it says %q, not %q", tt.args, r.stderr, want)
		}
	}
	r := pitwheel(t, nil, "send", "CREATE_USER", "-f", "emial=a@example.com", "-o", "json").exits(t, exitRejected)
	has(t, r.stdout, `"field":"emial"`)
}
