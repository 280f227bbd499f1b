package cli

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/brokertest"
	"github.com/pitwheel/pitwheel/infra/programtest"
)

// process is a pitwheel of its own, for what only a process can show.
type process struct {
	*running
	*programtest.Process
}

// launch starts this test binary as pitwheel.
func launch(t *testing.T, environ []string, args ...string) *process {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := programtest.Start(t, &exec.Cmd{Path: self, Args: append([]string{"pitwheel"}, args...), Env: append([]string{"PATH=" + os.Getenv("PATH")}, environ...)})
	return &process{&running{out: p.Stdout, errs: p.Stderr, environ: environ}, p}
}

// launchDev starts dev as a process, on free ports.
func launchDev(t *testing.T) *process {
	t.Helper()
	p := launch(t, []string{"PITWHEEL_DEV_REDIS_ADDR=127.0.0.1:0", "PITWHEEL_DEV_SMTP_ADDR=127.0.0.1:0", "PITWHEEL_HTTP_ADDR=127.0.0.1:0"}, "dev")
	found := p.out.Await(t, `(?s)HTTP +http://(\S+).*Redis +redis://(\S+).*Ctrl-C ends it`)
	p.http, p.environ = found[1], []string{"PITWHEEL_DEV_REDIS_ADDR=" + found[2]}
	return p
}

func TestDev_FirstEvent(t *testing.T) {
	t.Parallel()
	began := time.Now()
	dev := launchDev(t)
	dev.out.Await(t, `event +USER_CREATED v1`)
	took := time.Since(began)
	t.Logf("first event after %s", took)
	dev.out.Await(t, `mail +grace.hopper@example.com`)
	dev.out.Await(t, `row +user-directory`)
	dev.Signal(t, syscall.SIGTERM)
	if code := dev.Exit(t); code != exitOK {
		t.Errorf("the exit code is %d", code)
	}
	if text := dev.errs.String(); text != "" {
		t.Errorf("stderr has %s", text)
	}
}

func TestEventTail_Interrupted(t *testing.T) {
	t.Parallel()
	dev := launchDev(t)
	tail := launch(t, dev.environ, "event", "tail", "-o", "json", "--since", "1h")
	tail.out.Await(t, `USER_CREATED`)
	tail.Signal(t, syscall.SIGINT)
	if code := tail.Exit(t); code != exitInterrupted {
		t.Errorf("the exit code is %d, not %d", code, exitInterrupted)
	}
	if out := tail.out.String(); !strings.HasPrefix(out, "[{") || !strings.HasSuffix(out, "}]\n") {
		t.Errorf("the interrupted list is %s", out)
	}
	if !strings.Contains(tail.errs.String(), `"code":"INTERRUPTED"`) {
		t.Errorf("stderr has %s", tail.errs)
	}
	dev.Signal(t, syscall.SIGINT)
	if code := dev.Exit(t); code != exitOK {
		t.Errorf("the exit code of dev is %d", code)
	}
}

func TestDev_SecondSignal(t *testing.T) {
	t.Parallel()
	dev := launchDev(t)
	// A request whose body never comes keeps the drain waiting.
	conn, err := net.Dial("tcp", dev.http)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := fmt.Fprintf(conn, "POST /v1/commands/CREATE_USER HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\nExpect: 100-continue\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(conn).ReadString('\n'); err != nil || !strings.Contains(line, "100") {
		t.Fatalf("the server did not begin to read: %q %v", line, err)
	}
	dev.Signal(t, syscall.SIGTERM)
	programtest.Eventually(t, "the listener to close", func() bool {
		probe, err := net.Dial("tcp", dev.http)
		if err == nil {
			_ = probe.Close()
		}
		return err != nil
	})
	dev.Signal(t, syscall.SIGTERM)
	if code := dev.Exit(t); code != exitInterrupted {
		t.Errorf("the exit code is %d, not %d", code, exitInterrupted)
	}
}

// TestServe_WaitsForBrokers starts serve before its brokers.
func TestServe_WaitsForBrokers(t *testing.T) {
	t.Parallel()
	b := realBrokers(t)
	redis := brokertest.StartRedis(t)
	redis.Kill()
	address := freeAddress(t)
	environ := slices.Concat(b.environ, []string{"PITWHEEL_REDIS_URL=" + redis.URL(), "PITWHEEL_HTTP_ADDR=" + address})
	r := start(t, environ, "serve")
	r.http = address
	r.errs.Await(t, `waiting for Redis`)
	code, body := r.get(t, "/readyz")
	if code != http.StatusServiceUnavailable || !strings.Contains(body, "redis: ") || !strings.Contains(body, "rabbitmq: ") {
		t.Errorf("/readyz says %d %s", code, body)
	}
	if code, _ := r.get(t, "/livez"); code != http.StatusOK {
		t.Errorf("/livez says %d", code)
	}
	resp, err := http.Post("http://"+r.http+"/v1/commands/CREATE_USER", "application/json", strings.NewReader(`{"email":"a@example.com","name":"A"}`))
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("a command gets %s", resp.Status)
	}
	redis.Start()
	r.errs.Await(t, `every handler is consuming`)
	if code, body := r.get(t, "/readyz"); code != http.StatusOK {
		t.Errorf("/readyz says %d %s", code, body)
	}
	if _, err := r.post(t.Context(), "CREATE_USER", "x", `{"email":"a@example.com","name":"A"}`); err != nil {
		t.Error(err)
	}
	if code := r.end(t); code != exitOK {
		t.Errorf("the exit code is %d", code)
	}
}

// TestServe_StoppedWhileWaiting ends serve before its brokers are there.
func TestServe_StoppedWhileWaiting(t *testing.T) {
	t.Parallel()
	r := start(t, []string{"PITWHEEL_REDIS_URL=redis://127.0.0.1:1", "PITWHEEL_HTTP_ADDR=127.0.0.1:0"}, "serve")
	r.errs.Await(t, `waiting for Redis`)
	if code := r.end(t); code != exitOK {
		t.Errorf("the exit code is %d", code)
	}
}

// TestServe_WrongPassword is about promise 8: within 10 s, and no secret.
func TestServe_WrongPassword(t *testing.T) {
	t.Parallel()
	b := realBrokers(t)
	environ := slices.Concat(b.environ, []string{"PITWHEEL_AMQP_URL=" + brokertest.WithPassword(t, b.amqpURL, "s3cret")})
	r := start(t, environ, "serve")
	select {
	case code := <-r.ended:
		r.ended <- code
		if code != exitUsage || !strings.Contains(r.errs.String(), "PITWHEEL_AMQP_URL") || strings.Contains(r.errs.String(), "s3cret") {
			t.Errorf("exit code %d: %s", code, r.errs)
		}
	case <-time.After(slack * 10 * time.Second):
		t.Fatal("the start was not stopped in time")
	}
}

// TestServe_Crash kills serve in the middle of its work and starts it again: whatever
// was accepted is stored once, published, mailed and in the directory.
func TestServe_Crash(t *testing.T) {
	t.Parallel()
	const users = 400
	b := realBrokers(t)
	first := b.launch(t)
	deliveries := b.listen(t, "USER_CREATED")
	outcomes := make([]events.Outcome, users)
	data := func(i int) string { return fmt.Sprintf(`{"email":"c%d@example.com","name":"C"}`, i) }
	id := func(i int) string { return fmt.Sprintf("crash-%d", i) }
	var group errgroup.Group
	group.SetLimit(20)
	for i := range users {
		group.Go(func() error {
			if i == users/2 {
				return first.Cmd.Process.Kill()
			}
			outcomes[i], _ = first.post(t.Context(), "CREATE_USER", id(i), data(i)) // Some cannot succeed.
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	first.Exit(t)

	second := b.serve(t)
	for i := range users {
		group.Go(func() error {
			o, err := second.post(t.Context(), "CREATE_USER", id(i), data(i))
			if err == nil && (o.Status != events.StatusAccepted || o.Version != 1) {
				err = fmt.Errorf("the outcome is %+v", o)
			}
			if before := outcomes[i]; err == nil && before.Status != "" && before.Events[0].ID != o.Events[0].ID {
				err = fmt.Errorf("%s was accepted with the event %s and now with %s", id(i), before.Events[0].ID, o.Events[0].ID)
			}
			outcomes[i] = o
			return err
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	b.checkEverything(t, outcomes, deliveries)
}

// freeAddress is an address that nothing listens on now.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}
