package cli

import (
	"net"
	"strings"
	"testing"
	"time"

	"github.com/pitwheel/pitwheel/events"
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
			if name == "RabbitMQ" {
				has(t, r.stderr, "has not answered yet", "check user and password", "three seconds")
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

// A misspelling is not guessed where no field is near.
func TestSend_UnknownField(t *testing.T) {
	t.Parallel()
	r := pitwheel(t, nil, "send", "CREATE_USER", "-f", "telephone=1", "-f", "email=a@example.com", "-f", "name=A").exits(t, exitRejected)
	if want := "pitwheel: telephone: is not a field of CREATE_USER; it has userId (optional), email, name\n"; r.stderr != want {
		t.Errorf("it says %q, not %q", r.stderr, want)
	}
	r = pitwheel(t, nil, "send", "PLACE_ORDER").exits(t, exitUnreachable)
	if want := "pitwheel: nobody handles the command \"PLACE_ORDER\"\n  hint: known commands: CHANGE_USER_EMAIL, CREATE_USER, DEACTIVATE_USER\n"; r.stderr != want {
		t.Errorf("it says %q, not %q", r.stderr, want)
	}
}

// An id that was used with other data is refused, however the command is sent.
func TestSend_IDInUse(t *testing.T) {
	t.Parallel()
	dev := startDev(t, "--sample=false")
	create := func(name string, args ...string) []string {
		return append([]string{"send", "CREATE_USER", "-f", "email=ada@example.com", "-f", "name=" + name, "--id", "mine"}, args...)
	}
	pitwheel(t, dev.environ, create("Ada", "--wait")...).ok(t)
	for _, args := range [][]string{{"--wait"}, {}} {
		r := pitwheel(t, dev.environ, create("Anne", args...)...).exits(t, exitConflict)
		has(t, r.stderr, "is that of a CREATE_USER with other data on user", "hint: send the CREATE_USER under an id of its own")
		if r.stdout != "" {
			t.Errorf("it prints %s", r.stdout)
		}
	}
	pitwheel(t, dev.environ, create("Ada")...).ok(t)
}

// A command that was decided before is marked, so that nobody takes its outcome for new.
func TestSend_Replayed(t *testing.T) {
	t.Parallel()
	dev := startDev(t, "--sample=false")
	create := func(args ...string) []string {
		return append([]string{"send", "CREATE_USER", "-f", "email=ada@example.com", "-f", "name=Ada", "--wait"}, args...)
	}
	id := pitwheel(t, dev.environ, create("--id", "mine", "-q")...).ok(t).stdout
	if !events.IsID(strings.TrimSuffix(id, "\n")) {
		t.Fatalf("-q prints %q, not the id of the user", id)
	}
	id = strings.TrimSuffix(id, "\n")
	r := pitwheel(t, dev.environ, create("--id", "mine")...).ok(t)
	matches(t, r.stdout, `(?m)^status +accepted \(replayed: this id was decided before\)$`)
	matches(t, r.stdout, "(?m)^aggregate_id +"+id+"$")
	has(t, pitwheel(t, dev.environ, create("--id", "mine", "-o", "json")...).ok(t).stdout, `"replayed":true`)
	if again := pitwheel(t, dev.environ, create("--id", "mine", "-q")...).ok(t).stdout; again != id+"\n" {
		t.Errorf("repeated, -q prints %q", again)
	}
	if out := pitwheel(t, dev.environ, create("--id", "another")...).ok(t).stdout; strings.Contains(out, "replayed") {
		t.Errorf("a first outcome is marked: %s", out)
	}
	// So is a rejection, which prints no id.
	rejected := create("--id", "theirs", "-f", "userId="+id, "-q")
	first, second := pitwheel(t, dev.environ, rejected...).exits(t, exitRejected), pitwheel(t, dev.environ, rejected...).exits(t, exitRejected)
	if strings.Contains(first.stderr, "replayed") || !strings.Contains(second.stderr, "(replayed: this id was decided before)") || first.stdout+second.stdout != "" {
		t.Errorf("the rejections are %+v and %+v", first, second)
	}
	// Without --wait the receipt has the same id.
	if out := pitwheel(t, dev.environ, "send", "DEACTIVATE_USER", "-f", "userId="+id, "-f", "reason=r", "-q").ok(t).stdout; out != id+"\n" {
		t.Errorf("send -q prints %q", out)
	}
}
