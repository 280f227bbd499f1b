package brokertest

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/pitwheel/pitwheel/events"
)

// AMQP returns the URL of a real RabbitMQ: that of PITWHEEL_TEST_AMQP_URL, else
// the one on 127.0.0.1:5672. Without either the test is skipped, or fails if
// PITWHEEL_TEST_NO_SKIP is set.
//
// The broker may be shared: a test keeps to its own [Namespace] and removes what
// it declares with [CleanAMQP].
func AMQP(t testing.TB) string {
	t.Helper()
	if url := os.Getenv("PITWHEEL_TEST_AMQP_URL"); url != "" {
		return url
	}
	const local = "amqp://guest:guest@127.0.0.1:5672/"
	if !amqpAnswers(local) {
		Skip(t, "no RabbitMQ on 127.0.0.1:5672: start one with `docker run -d -p 5672:5672 rabbitmq:4`, or `rabbitmq-server -detached`, or set PITWHEEL_TEST_AMQP_URL")
	}
	return local
}

// CleanAMQP deletes queues, each with its poison queue, exchanges and the witness of
// their namespace when the test ends. Names are complete, with the namespace.
func CleanAMQP(t testing.TB, url string, queues, exchanges []string) {
	t.Helper()
	t.Cleanup(func() {
		conn, err := amqp.Dial(url)
		if err != nil {
			t.Logf("queues %q and exchanges %q are left in RabbitMQ: %v", queues, exchanges, err)
			return
		}
		defer func() { _ = conn.Close() }()
		ch, err := conn.Channel()
		if err != nil {
			t.Logf("queues %q and exchanges %q are left in RabbitMQ: %v", queues, exchanges, err)
			return
		}
		// Deleting what does not exist is not an error.
		for _, queue := range queues {
			_, _ = ch.QueueDelete(queue, false, false, false)
			_, _ = ch.QueueDelete(events.PoisonQueue(queue), false, false, false)
		}
		for _, name := range slices.Concat(queues, exchanges) {
			if namespace, _, ok := strings.Cut(name, "."); ok { // Of a service that has run there.
				_, _ = ch.QueueDelete(namespace+".pitwheel.witness", false, false, false)
			}
		}
		for _, exchange := range exchanges {
			_ = ch.ExchangeDelete(exchange, false, false)
		}
	})
}

func amqpAnswers(url string) bool {
	conn, err := amqp.DialConfig(url, amqp.Config{Dial: amqp.DefaultDial(2 * time.Second)})
	if err != nil {
		return false
	}
	return conn.Close() == nil
}

// Skip skips the test with a line that says how to get what is missing, or fails
// it if PITWHEEL_TEST_NO_SKIP is set.
func Skip(t testing.TB, text string) {
	t.Helper()
	if no, _ := strconv.ParseBool(os.Getenv("PITWHEEL_TEST_NO_SKIP")); no {
		t.Fatal(text)
	}
	t.Skip(text)
}

// RabbitMQServer is a RabbitMQ for one test, which may kill it, start it again and run
// rabbitmqctl on it.
type RabbitMQServer struct {
	t    testing.TB
	port int
	env  []string
	cmd  *exec.Cmd
	// pidFile contains the process id of the server while it runs.
	pidFile string
}

// StartRabbitMQ starts a server for one test. It takes some seconds, so most tests should
// use [AMQP]. Without a rabbitmq-server on the PATH the test is skipped.
func StartRabbitMQ(t testing.TB) *RabbitMQServer {
	t.Helper()
	if _, err := rabbitBinary("rabbitmq-server"); err != nil {
		Skip(t, "no rabbitmq-server on the PATH: install RabbitMQ to run this test")
	}
	dir := t.TempDir()
	port, dist := freePort(t), freePort(t)
	node := "pitwheel-" + Namespace(t) + "@localhost"
	pidFile := filepath.Join(dir, "pid")
	s := &RabbitMQServer{t: t, port: port, pidFile: pidFile, env: append(os.Environ(),
		"HOME="+dir,
		"RABBITMQ_NODENAME="+node,
		"RABBITMQ_NODE_IP_ADDRESS=127.0.0.1",
		"RABBITMQ_NODE_PORT="+strconv.Itoa(port),
		"RABBITMQ_DIST_PORT="+strconv.Itoa(dist),
		"RABBITMQ_MNESIA_BASE="+filepath.Join(dir, "data"),
		"RABBITMQ_LOG_BASE="+filepath.Join(dir, "log"),
		"RABBITMQ_ENABLED_PLUGINS_FILE="+filepath.Join(dir, "plugins"),
		"RABBITMQ_CONFIG_FILE="+filepath.Join(dir, "rabbitmq"),
		"RABBITMQ_PID_FILE="+pidFile,
	)}
	s.Start()
	t.Cleanup(s.Kill)
	return s
}

// URL returns the server's URL.
func (s *RabbitMQServer) URL() string {
	return "amqp://guest:guest@127.0.0.1:" + strconv.Itoa(s.port) + "/"
}

// Start starts the server on its previous port and files, and waits until it answers.
func (s *RabbitMQServer) Start() {
	s.t.Helper()
	path, err := rabbitBinary("rabbitmq-server")
	if err != nil {
		s.t.Fatal(err)
	}
	s.cmd = exec.Command(path)
	s.cmd.Env = s.env
	// The script starts the Erlang machine as its child; both are in one group.
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := s.cmd.Start(); err != nil {
		s.t.Fatalf("rabbitmq-server did not start: %v", err)
	}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(3 * time.Minute); !amqpAnswers(s.URL()); <-tick.C {
		if time.Now().After(deadline) {
			s.t.Fatalf("rabbitmq-server on %s did not answer within 3 minutes", s.URL())
		}
	}
}

// Kill ends the server at once, as a crash would.
func (s *RabbitMQServer) Kill() {
	if s.cmd == nil {
		return
	}
	_ = syscall.Kill(-s.cmd.Process.Pid, syscall.SIGKILL)
	_ = s.cmd.Wait()
	s.cmd = nil
}

// Stop shuts the server down, as an operator would.
func (s *RabbitMQServer) Stop() {
	s.t.Helper()
	s.Ctl("stop", s.pidFile)
	_ = s.cmd.Wait() // How it ended does not matter.
	s.cmd = nil
}

// Ctl runs rabbitmqctl on the server and returns what it prints.
func (s *RabbitMQServer) Ctl(args ...string) string {
	s.t.Helper()
	path, err := rabbitBinary("rabbitmqctl")
	if err != nil {
		s.t.Fatal(err)
	}
	cmd := exec.Command(path, args...)
	cmd.Env = s.env
	out, err := cmd.CombinedOutput()
	if err != nil {
		s.t.Fatalf("rabbitmqctl %q: %v\n%s", args, err, out)
	}
	return string(out)
}

// rabbitBinary finds a script of RabbitMQ. Debian's wrapper on the PATH changes to
// another user, whom the test's directory does not belong to, so the script behind
// it is preferred.
func rabbitBinary(name string) (string, error) {
	if found, _ := filepath.Glob("/usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin/" + name); len(found) > 0 {
		return found[0], nil
	}
	return exec.LookPath(name)
}

func freePort(t testing.TB) int {
	t.Helper()
	_, text, _ := net.SplitHostPort(freeAddr(t))
	port, _ := strconv.Atoi(text) // It is a number.
	return port
}
