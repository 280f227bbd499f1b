package programtest_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"testing"

	"github.com/pitwheel/pitwheel/infra/programtest"
)

// TestMain is also the program that the tests start: it prints its argument and waits for
// SIGTERM.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "echo" {
		stop := make(chan os.Signal, 1)
		signal.Notify(stop, syscall.SIGTERM)
		fmt.Println("out " + os.Args[2])
		fmt.Fprintln(os.Stderr, "err "+os.Args[2])
		<-stop
		os.Exit(3)
	}
	os.Exit(m.Run())
}

func self(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return exec.CommandContext(t.Context(), path, args...)
}

func TestProcess(t *testing.T) {
	t.Parallel()
	p := programtest.Start(t, self(t, "echo", "hello"))
	if found := p.Stdout.Await(t, `out (\w+)`); found[1] != "hello" {
		t.Errorf("found %q", found)
	}
	p.Stderr.Await(t, `^err hello\n$`)
	if code := p.Stop(t); code != 3 {
		t.Errorf("the exit code is %d", code)
	}
}

func TestGet(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusTeapot)
		_, _ = fmt.Fprint(w, "short and stout")
	}))
	defer server.Close()
	if code, body := programtest.Get(t, server.URL); code != http.StatusTeapot || body != "short and stout" {
		t.Errorf("the answer is %d %q", code, body)
	}
}
