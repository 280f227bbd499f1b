package dispatcher_test

import (
	"context"
	"fmt"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/pitwheel/pitwheel/infra/dispatcher"
)

// A broker's consumer pushes what it receives, Watermill's router reads from out, and
// what is acked may be acknowledged to the broker.
func Example() {
	out := make(chan *message.Message)
	window := dispatcher.New(dispatcher.Config[uint64]{
		Done: func(tag uint64, acked bool) { fmt.Println("done", tag, acked) },
	}, out)

	ctx := context.Background()
	for tag := range uint64(2) {
		msg := message.NewMessage(fmt.Sprint("message ", tag), nil)
		if err := window.Push(ctx, "user 7", msg, tag); err != nil {
			fmt.Println(err)
		}
	}
	for range 2 { // One after the other, as both have the same key.
		msg := <-out
		fmt.Println("handled", msg.UUID)
		msg.Ack()
	}
	if err := window.Drain(ctx); err != nil {
		fmt.Println(err)
	}
	// Output:
	// handled message 0
	// done 0 true
	// handled message 1
	// done 1 true
}
