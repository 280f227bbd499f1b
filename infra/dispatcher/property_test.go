package dispatcher_test

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"pgregory.net/rapid"

	"github.com/pitwheel/pitwheel/infra/dispatcher"
)

// delivery is one message of a random run: its key, its place within the key,
// how often its handler fails and how long it takes.
type delivery struct {
	id     int
	key    string
	nth    int
	fails  int
	yields int
}

// checker is a handler that checks what it is given.
type checker struct {
	mu       sync.Mutex
	broken   []string
	all      []delivery
	attempts map[int]int
	busy     map[string]bool // by key
	done     map[string]int  // by key: how many were acked
	active   int
	givingUp bool
	limit    int
	ended    map[int][]bool
	acked    map[int]bool
}

func (c *checker) fail(format string, args ...any) {
	c.broken = append(c.broken, fmt.Sprintf(format, args...))
}

func (c *checker) handle(msg *message.Message, d delivery) {
	c.mu.Lock()
	if c.active++; c.active > c.limit {
		c.fail("%d delivered at once, allowed are %d", c.active, c.limit)
	}
	if d.key != "" {
		if c.busy[d.key] {
			c.fail("two of key %s at once", d.key)
		}
		c.busy[d.key] = true
		if c.done[d.key] != d.nth {
			c.fail("key %s: number %d was delivered when %d had been handled", d.key, d.nth, c.done[d.key])
		}
	}
	if err := msg.Context().Err(); err != nil && !c.givingUp {
		c.fail("%d was delivered with a context that has ended: %v", d.id, err)
	}
	c.attempts[d.id]++
	ok := c.attempts[d.id] > d.fails
	c.mu.Unlock()
	for range d.yields {
		runtime.Gosched()
	}
	c.mu.Lock()
	c.active--
	c.busy[d.key] = false
	if ok {
		c.done[d.key]++
		c.acked[d.id] = true
	}
	c.mu.Unlock()
	if ok {
		msg.Ack()
	} else {
		msg.Nack()
	}
}

func (c *checker) record(id int, acked bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended[id] = append(c.ended[id], acked)
	if acked && !c.acked[id] {
		c.fail("%d ended as acked before its handler had acked it", id)
	}
}

// deliveries draws a delivery of one of so many keys, or of none; one in ten fails.
func deliveries(keys int) *rapid.Generator[delivery] {
	return rapid.Custom(func(t *rapid.T) delivery {
		d := delivery{yields: rapid.IntRange(0, 20).Draw(t, "yields")}
		if k := rapid.IntRange(0, keys).Draw(t, "key"); k > 0 {
			d.key = fmt.Sprint("k", k)
		}
		if rapid.IntRange(0, 9).Draw(t, "luck") == 0 {
			d.fails = rapid.IntRange(1, 3).Draw(t, "fails")
		}
		return d
	})
}

func TestDispatcher_OrderWindowAndLoss(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		keys := rapid.IntRange(0, 8).Draw(t, "keys")
		n := rapid.IntRange(1, 200).Draw(t, "messages")
		window := rapid.IntRange(1, 40).Draw(t, "window")
		c := &checker{
			limit:    rapid.IntRange(1, 12).Draw(t, "concurrency"),
			attempts: map[int]int{}, busy: map[string]bool{}, done: map[string]int{}, ended: map[int][]bool{}, acked: map[int]bool{},
		}
		count := map[string]int{}
		for i, d := range rapid.SliceOfN(deliveries(keys), n, n).Draw(t, "deliveries") {
			d.id, d.nth = i, count[d.key]
			count[d.key]++
			c.all = append(c.all, d)
		}
		// The drain begins at some message, or after all of them have ended.
		stopAt := rapid.IntRange(0, 2*n).Draw(t, "stop at")
		patient := rapid.Bool().Draw(t, "patient drain")

		out := make(chan *message.Message)
		disp := dispatcher.New(dispatcher.Config[int]{
			Concurrency: c.limit, Window: window, Done: c.record,
			MinBackoff: time.Microsecond, MaxBackoff: 50 * time.Microsecond,
		}, out)
		var handlers sync.WaitGroup
		routerDone := make(chan struct{})
		go func() {
			defer close(routerDone)
			for msg := range out {
				handlers.Go(func() {
					var id int
					fmt.Sscan(msg.UUID, &id)
					c.handle(msg, c.all[id])
				})
			}
		}()

		accepted := 0
		for i, d := range c.all {
			if i == stopAt {
				break
			}
			if err := disp.Push(context.Background(), d.key, message.NewMessage(fmt.Sprint(i), nil), i); err != nil {
				t.Fatalf("Push: %v", err)
			}
			accepted++
			if got := disp.InFlight(); got > 16*window {
				t.Fatalf("%d in flight, the window is %d and the overflow 15 times that", got, window)
			}
		}
		if stopAt >= n {
			for disp.InFlight() > 0 {
				runtime.Gosched()
			}
		}
		ctx, cancel := context.WithCancel(context.Background())
		if !patient {
			c.mu.Lock()
			c.givingUp = true
			c.mu.Unlock()
			cancel()
		}
		err := disp.Drain(ctx)
		cancel()
		close(out)
		<-routerDone
		handlers.Wait()

		for _, b := range c.broken {
			t.Error(b)
		}
		if patient && err != nil {
			t.Errorf("Drain: %v", err)
		}
		for id := range accepted {
			s := c.ended[id]
			switch {
			case len(s) != 1:
				t.Errorf("%d ended %d times", id, len(s))
			case stopAt >= n && !s[0]:
				t.Errorf("%d was abandoned although there was no drain", id)
			case patient && s[0] != c.acked[id]:
				t.Errorf("%d ended with %v; its handler had acked it: %v", id, s[0], c.acked[id])
			}
		}
		if len(c.ended) != accepted {
			t.Errorf("%d ended, %d accepted", len(c.ended), accepted)
		}
	})
}
