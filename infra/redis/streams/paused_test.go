package streams_test

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/pitwheel/pitwheel/infra/brokertest"
	"github.com/pitwheel/pitwheel/infra/redis/internal/redistest"
	"github.com/pitwheel/pitwheel/router"
)

// pausedNamespace is the environment variable by which the test binary runs as the process
// that is paused.
const pausedNamespace = "PITWHEEL_TEST_PAUSED_NAMESPACE"

// TestPausedProcess is the process that TestSubscriber_Ordered_PausedInstance pauses.
func TestPausedProcess(t *testing.T) {
	namespace := os.Getenv(pausedNamespace)
	if namespace == "" {
		t.Skip("another test runs it as a process of its own")
	}
	s := redistest.OpenIn(t, os.Getenv("PITWHEEL_TEST_REDIS_URL"), namespace)
	sub := redistest.Subscriber(t, s, router.Subscription{Topic: "user.events", Queue: "q", Ordered: true})
	for msg := range redistest.Must[<-chan *message.Message](t)(sub.Subscribe(t.Context(), "")) {
		fmt.Println(msg.UUID) // It is read until this process is killed.
		msg.Ack()
	}
}

// An instance that was stopped, while another one has taken over, begins no message that it
// had received before: two would work on one key.
func TestSubscriber_Ordered_PausedInstance(t *testing.T) {
	t.Parallel()
	url := brokertest.Redis(t)
	ns := redistest.Namespace(t, url)
	s := redistest.OpenIn(t, url, ns)
	cmd := exec.Command(os.Args[0], "-test.run=^TestPausedProcess$", "-test.timeout=10m")
	cmd.Env = append(os.Environ(), pausedNamespace+"="+ns, "PITWHEEL_TEST_REDIS_URL="+url)
	out := redistest.Must[io.ReadCloser](t)(cmd.StdoutPipe())
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	var begun atomic.Int64
	ids := make(chan string, 100_000)
	go func() { // It ends with the process.
		for lines := bufio.NewScanner(out); lines.Scan(); {
			begun.Add(1)
			ids <- lines.Text()
		}
	}()
	publish := func(n int) {
		msgs := make([]*message.Message, n)
		for i := range msgs {
			msgs[i] = redistest.Message(fmt.Sprint("m", i), "USER_CREATED", "ada")
		}
		if err := s.Publisher().Publish("user.events", msgs...); err != nil {
			t.Fatal(err)
		}
	}
	queue := redistest.Subscriber(t, s, router.Subscription{Topic: "user.events", Queue: "q", Ordered: true})
	if err := queue.Declare(t.Context()); err != nil {
		t.Fatal(err)
	}
	publish(1)
	redistest.Receive(t, ids)
	publish(20_000)
	redistest.Receive(t, ids)
	if err := cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	sub := redistest.Subscriber(t, s, router.Subscription{Topic: "user.events", Queue: "q", Ordered: true})
	msgs := redistest.Must[<-chan *message.Message](t)(sub.Subscribe(t.Context(), ""))
	taken := redistest.Next(t, msgs) // It is being handled here from now on.
	before := begun.Load()
	if err := cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	<-time.After(2 * time.Second)            // What must not happen is watched for.
	if now := begun.Load(); now > before+1 { // One may have been under way.
		t.Errorf("the instance that was paused has begun %d messages while another one was at work", now-before)
	}
	taken.Ack()
}
