package cli

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/pitwheel/pitwheel/infra/brokertest"
	"github.com/pitwheel/pitwheel/infra/programtest"
)

// freeDev are the addresses of a dev on free ports.
func freeDev() []string {
	return []string{"PITWHEEL_DEV_REDIS_ADDR=127.0.0.1:0", "PITWHEEL_DEV_SMTP_ADDR=127.0.0.1:0", "PITWHEEL_HTTP_ADDR=127.0.0.1:0"}
}

// screen returns dev's start screen, once it is complete.
func (r *running) screen(t *testing.T) string {
	t.Helper()
	r.out.Await(t, `Ctrl-C ends it|it has ended`)
	before, _, _ := strings.Cut(r.out.String(), "Ctrl-C ends it")
	return before
}

// wantAll fails the test unless a text has all of the given ones.
func wantAll(t *testing.T, text string, wants ...string) {
	t.Helper()
	for _, want := range wants {
		if !strings.Contains(text, want) {
			t.Errorf("there is no %q in\n%s", want, text)
		}
	}
}

// TestDev_Fail goes from a failure to its end while dev runs.
func TestDev_Fail(t *testing.T) {
	t.Parallel()
	dev := startDev(t, "--fail", "send-welcome")
	wantAll(t, dev.screen(t), "send-welcome (fails), user-directory\n", " poison list", " poison retry --handler send-welcome")
	found := dev.out.Await(t, `poison +send-welcome +INJECTED: failed by --fail send-welcome[^→]*→ .*(poison show \S+ --dev-redis-addr \S+)\n`)
	shown := pitwheel(t, nil, strings.Fields(found[1])...).ok(t).stdout
	wantAll(t, shown, "send-welcome", "INJECTED", "grace.hopper@example.com")
	if strings.Contains(dev.out.String(), "  mail ") {
		t.Errorf("a mail was sent:\n%s", dev.out)
	}
	pitwheel(t, dev.environ, "poison", "retry", "--handler", "send-welcome", "-y").ok(t)
	dev.out.Await(t, `mail +grace.hopper@example.com`)
	// The next one fails all the same.
	pitwheel(t, dev.environ, "send", "CREATE_USER", "-f", "email=ada@example.com", "-f", "name=Ada").ok(t)
	dev.out.Await(t, `(?s)mail +grace.*poison +send-welcome`)
}

// TestDev_Data ends a dev, and starts it again with its data.
func TestDev_Data(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	first := startDev(t, "--data", dir, "--fail", "send-welcome")
	wantAll(t, first.screen(t), dir+" keeps its data")
	first.out.Await(t, `poison +send-welcome`)
	send := []string{"send", "CREATE_USER", "--id", "6f2b1f6e-52a1-4d0c-9a55-0d0f6a1c0009", "-f", "email=ada@example.com", "-f", "name=Ada", "--wait", "-o", "json"}
	outcome := pitwheel(t, first.environ, send...).ok(t).stdout
	first.out.Await(t, `(?s)poison +send-welcome.*poison +send-welcome`)
	rows := []string{"projection", "rows", "user-directory", "-o", "json"}
	history := []string{"event", "tail", "--no-follow", "-o", "json"}
	poison := []string{"poison", "list", "-o", "json"}
	before := map[string]string{}
	read := func(r *running) map[string]string {
		out := map[string]string{}
		for _, args := range [][]string{rows, history, poison} {
			out[args[0]] = pitwheel(t, r.environ, args...).ok(t).stdout
		}
		return out
	}
	programtest.Eventually(t, "two poison messages", func() bool {
		before = read(first)
		return strings.Count(before["poison"], `"id"`) == 2
	})
	if refused := pitwheel(t, freeDev(), "dev", "--data", dir); refused.code != exitUsage || !strings.Contains(refused.stderr, dir+" is in use") {
		t.Errorf("a second dev: exit code %d, %s", refused.code, refused.stderr)
	}
	if code := first.end(t); code != exitOK {
		t.Fatalf("the exit code is %d", code)
	}
	wantAll(t, first.out.String(), "  draining  ", "  stopped   ")

	second := startDev(t, "--data", dir)
	for what, want := range before {
		if got := read(second)[what]; got != want {
			t.Errorf("%s: after a restart there is\n%s\nbefore it was\n%s", what, got, want)
		}
	}
	if got := pitwheel(t, second.environ, send...).ok(t).stdout; strings.Replace(got, `,"replayed":true`, "", 1) != outcome {
		t.Errorf("the same command again: %s, before %s", got, outcome)
	}
	pitwheel(t, second.environ, "poison", "retry", "--all", "-y").ok(t)
	second.out.Await(t, `(?s)mail +(grace|ada).*mail +(grace|ada)`)
	if text := second.out.String(); strings.Contains(text, "  event ") {
		t.Errorf("the sample was sent again:\n%s", text)
	}
	second.end(t)

	third := startDev(t, "--data", dir, "--sample")
	third.out.Await(t, `event +USER_CREATED v1 .*grace`)
}

// TestDev_DataAfterKill kills a dev in the middle of its work: what was saved is there, and
// what it had begun goes on.
func TestDev_DataAfterKill(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	slow := written(t, "handlers: {send-welcome: {backoff: 2s, attempts: 100}}")
	first := launch(t, freeDev(), "dev", "--data", dir, "--fail", "send-welcome", "--config", slow)
	first.out.Await(t, `row +user-directory`)
	programtest.Eventually(t, "snapshot", func() bool {
		data, err := os.ReadFile(filepath.Join(dir, "redis.data"))
		return err == nil && strings.Contains(string(data), "grace.hopper@example.com") && strings.Contains(string(data), "user-directory")
	})
	first.Signal(t, syscall.SIGKILL)
	first.Exit(t)

	second := startDev(t, "--data", dir)
	second.out.Await(t, `mail +grace.hopper@example.com`)
	programtest.Eventually(t, "row", func() bool {
		return strings.Contains(pitwheel(t, second.environ, "projection", "rows", "user-directory").ok(t).stdout, "grace.hopper@example.com")
	})
	wantAll(t, pitwheel(t, second.environ, "event", "tail", "--no-follow").ok(t).stdout, "USER_CREATED ")
}

// TestDev_RealBrokers has dev use brokers that flags name, and none other.
func TestDev_RealBrokers(t *testing.T) {
	t.Parallel()
	b := realBrokers(t)
	dev := startApp(t, testApplication(), []string{"PITWHEEL_HTTP_ADDR=127.0.0.1:0"}, "dev", "--namespace", b.namespace,
		"--redis-url", brokertest.Redis(t), "--amqp-url", b.amqpURL, "--smtp-url", "smtp://"+b.mails.Addr())
	screen := dev.screen(t)
	wantAll(t, screen, "stays in Redis", "RabbitMQ  amqp", "mail is sent, not caught", " --redis-url redis://", " --amqp-url amqp", " --namespace "+b.namespace)
	if strings.Contains(screen, "guest:guest") || strings.Contains(screen, "in this process: the log") {
		t.Errorf("the screen is\n%s", screen)
	}
	deliveries := b.listen(t, "USER_CREATED")
	environ := slices.Concat(b.environ, []string{"PITWHEEL_SMTP_URL="})
	pitwheel(t, environ, "send", "CREATE_USER", "-f", "email=ada@example.com", "-f", "name=Ada", "--wait").ok(t)
	dev.out.Await(t, `row +user-directory`)
	programtest.Eventually(t, "mail", func() bool { return b.mails.Count() == 1 })
	if d := <-deliveries; d.Type != "USER_CREATED" {
		t.Errorf("RabbitMQ delivers %s", d.Type)
	}
	if text := dev.out.String(); strings.Count(text, "  event ") != 1 {
		t.Errorf("a sample was sent to a Redis that a flag names:\n%s", text)
	}
}

// TestDev_IgnoresEnvironment has dev not use brokers that are exported for serve.
func TestDev_IgnoresEnvironment(t *testing.T) {
	t.Parallel()
	config := written(t, "smtp_url: smtp://127.0.0.1:1\nhandlers: {create-user: {paused: true}}")
	environ := append(freeDev(), "PITWHEEL_REDIS_URL=redis://127.0.0.1:1", "PITWHEEL_AMQP_URL=amqp://guest:s3cret@127.0.0.1:1", "PITWHEEL_DURABILITY=strict", "PITWHEEL_CONFIG="+config)
	screen := start(t, environ, "dev").screen(t)
	wantAll(t, screen, "create-user (paused), change", "Ignored   amqp_url (PITWHEEL_AMQP_URL), redis_url (PITWHEEL_REDIS_URL), durability (PITWHEEL_DURABILITY), smtp_url ("+config+")",
		"dev takes these from flags only", "--wait --redis-url redis://127.0.0.1:", " --amqp-url=\n")
	if strings.Contains(screen, "s3cret") {
		t.Errorf("the screen has a password:\n%s", screen)
	}
}

func TestDev_Usage(t *testing.T) {
	t.Parallel()
	damaged := t.TempDir()
	if err := os.WriteFile(filepath.Join(damaged, "redis.data"), []byte("pitwheel dev data 1\n0\nx"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		args []string
		want []string
	}{
		{"unknown handler", []string{"--fail", "send-welcom"}, []string{`no handler is named "send-welcom"; the nearest is "send-welcome"`}},
		{"unknown handler, watching", []string{"--watch", "--fail", "send-welcom"}, []string{`no handler is named "send-welcom"`}},
		{"projection", []string{"--fail", "user-directory"}, []string{"user-directory is a projection", "create-user"}},
		{"durability of the in-process Redis", []string{"--durability", "fast"}, []string{"--durability fast", "in-process", "--redis-url"}},
		{"data of another Redis", []string{"--data", "d", "--redis-url", "redis://127.0.0.1:1"}, []string{"--data", "--redis-url"}},
		{"damaged data", []string{"--data", damaged}, []string{damaged, "damaged", "left as it is"}},
		{"no directory", []string{"--data="}, []string{"--data", "empty"}},
		{"not built from a package", []string{"--watch"}, []string{"--watch", "module"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := pitwheel(t, freeDev(), append([]string{"dev"}, tt.args...)...)
			if r.code != exitUsage || r.stdout != "" {
				t.Errorf("exit code %d: %s", r.code, r.stdout)
			}
			wantAll(t, r.stderr, tt.want...)
		})
	}
}

// TestDev_BrokerWithoutRedis says that RabbitMQ outlives the log.
func TestDev_BrokerWithoutRedis(t *testing.T) {
	t.Parallel()
	b := realBrokers(t)
	dev := start(t, freeDev(), "dev", "--namespace", b.namespace, "--amqp-url", b.amqpURL)
	wantAll(t, dev.screen(t), "everything but RabbitMQ runs in this process", "The queues of RabbitMQ stay", "in this process: the log", " --amqp-url amqp")
	dev.out.Await(t, `mail +grace.hopper@example.com`)
}

// TestProgramAt has suggestions call the program as it was started.
func TestProgramAt(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, want string }{
		{"pitwheel", "pitwheel"}, {"bin/pitwheel", "bin/pitwheel"}, {"./pitwheel", "./pitwheel"}, {"../bin/pitwheel", "../bin/pitwheel"},
		{"/home/ada/src/bin/pitwheel", "bin/pitwheel"}, {"/home/ada/src/pitwheel", "./pitwheel"}, {"/usr/bin/pitwheel", "/usr/bin/pitwheel"},
	} {
		if got := programAt(tt.name, "/home/ada/src"); got != tt.want {
			t.Errorf("%s is called as %s, want %s", tt.name, got, tt.want)
		}
	}
}
