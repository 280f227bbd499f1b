package workerpool

import (
	"errors"
	"sync"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/pitwheel/pitwheel/events"
)

func TestPool_Middleware(t *testing.T) {
	t.Parallel()
	boom := errors.New("boom")
	p := New(2)
	handle := p.Middleware(func(msg *message.Message) ([]*message.Message, error) {
		switch msg.UUID {
		case "fails":
			return nil, boom
		case "panics":
			panic("crash")
		}
		return []*message.Message{msg}, nil
	})
	var callers sync.WaitGroup
	for range 50 { // Far more than there are workers, and than survive if a panic ended one.
		callers.Go(func() {
			if out, err := handle(message.NewMessage("ok", nil)); err != nil || len(out) != 1 {
				t.Errorf("returned %v, %v", out, err)
			}
			if _, err := handle(message.NewMessage("fails", nil)); !errors.Is(err, boom) {
				t.Errorf("the error is %v", err)
			}
			if _, err := handle(message.NewMessage("panics", nil)); events.CodeOf(err) != events.CodePanic {
				t.Errorf("the error is %v", err)
			}
		})
	}
	callers.Wait()
	if p.started > 2 {
		t.Errorf("%d workers were started", p.started)
	}
	p.Stop()
}
