package panics

import (
	"errors"
	"strings"
	"testing"

	"github.com/pitwheel/pitwheel/events"
)

func crash() { panic("boom") }

func TestGuard(t *testing.T) {
	t.Parallel()
	err := Guard("RetryIf", func() error { crash(); return nil })
	if events.CodeOf(err) != events.CodePanic || !strings.HasPrefix(err.Error(), "RetryIf panicked at panics.crash panics_test.go:") {
		t.Errorf("the error is %v", err)
	}
	boom := errors.New("boom")
	if err := Guard("RetryIf", func() error { return boom }); !errors.Is(err, boom) {
		t.Errorf("the error is %v", err)
	}
}

func TestRecovered(t *testing.T) {
	t.Parallel()
	var err error
	func() {
		defer func() { err = Recovered(recover(), "handler h") }()
		crash()
	}()
	var p *Error
	if !errors.As(err, &p) || events.CodeOf(err) != events.CodePanic || err.Error() != "handler h panicked: boom" {
		t.Fatalf("the error is %v", err)
	}
	if got := Frame(p.Stack); !strings.HasPrefix(got, "panics.crash panics_test.go:") {
		t.Errorf("the frame is %q in\n%s", got, p.Stack)
	}
}

func TestFrame_NoPanic(t *testing.T) {
	t.Parallel()
	if got := Frame("goroutine 1 [running]:\nmain.main()\n\t/main.go:1"); got != "" {
		t.Errorf("the frame is %q", got)
	}
}
