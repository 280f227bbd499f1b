package cli

import (
	"context"
	"io"
	"testing"
	"time"

	"github.com/pitwheel/pitwheel/infra/programtest"
)

// endless is an input that never ends, like an idle terminal. It signals when it
// is read.
type endless struct{ read chan struct{} }

func (e endless) Read([]byte) (int, error) {
	close(e.read)
	select {} // Nothing ends it but the process.
}

func TestStdin_Interrupted(t *testing.T) {
	t.Parallel()
	b := newTestStore(t)
	for _, args := range [][]string{{"send", "CREATE_USER", "-d", "-"}, {"poison", "import", "-"}} {
		ctx, interrupt := context.WithCancel(t.Context())
		stdin, out := endless{make(chan struct{})}, new(programtest.Output)
		ended := make(chan int, 1)
		go func() { ended <- run(ctx, testApplication(), args, b.environ, stdin, io.Discard, out) }()
		<-stdin.read
		interrupt()
		select {
		case code := <-ended:
			if code != exitInterrupted {
				t.Errorf("%v ends with %d: %s", args, code, out)
			}
		case <-time.After(programtest.Patience):
			t.Fatalf("%v does not end", args)
		}
	}
}
