package rabbitmq

import (
	"fmt"
	"sync"
	"testing"

	"pgregory.net/rapid"
)

// tagChannel answers acknowledgements as RabbitMQ does: a tag that is not
// outstanding is an error that would close the channel.
type tagChannel struct {
	mu          sync.Mutex
	outstanding []uint64 // in order
	broken      []string
	acked       map[uint64]bool
	frames      int
}

func (c *tagChannel) ack(tag uint64, multiple bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.frames++
	for i, open := range c.outstanding {
		if open != tag {
			continue
		}
		from := i
		if multiple {
			from = 0
		}
		for _, acked := range c.outstanding[from : i+1] {
			if !c.acked[acked] {
				c.broken = append(c.broken, fmt.Sprintf("%d was acknowledged and not handled", acked))
			}
		}
		c.outstanding = append(c.outstanding[:from:from], c.outstanding[i+1:]...)
		return nil
	}
	c.broken = append(c.broken, fmt.Sprintf("%d is acknowledged and not outstanding", tag))
	return nil
}

// The acker is unexported, and what it must never do cannot be observed reliably on a real
// broker; hence an internal test.
func TestAcker_AcknowledgesOnceWhatIsAcked(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		prefetch := rapid.IntRange(1, 40).Draw(t, "prefetch")
		c := &tagChannel{acked: make(map[uint64]bool)}
		a := newAcker(c.ack, nil, prefetch) // not started: the test flushes
		var open []uint64                   // delivered and not finished
		abandoned := 0
		next := uint64(1)
		for range rapid.IntRange(0, 200).Draw(t, "steps") {
			c.mu.Lock()
			room := len(c.outstanding) < prefetch
			c.mu.Unlock()
			switch {
			case room && rapid.Bool().Draw(t, "deliver"):
				c.mu.Lock()
				c.outstanding = append(c.outstanding, next)
				c.mu.Unlock()
				a.delivered(next)
				open = append(open, next)
				next++
			case len(open) > 0:
				i := rapid.IntRange(0, len(open)-1).Draw(t, "finish")
				tag := open[i]
				open = append(open[:i], open[i+1:]...)
				ok := rapid.IntRange(0, 9).Draw(t, "luck") > 0
				if ok {
					c.mu.Lock()
					c.acked[tag] = true
					c.mu.Unlock()
				} else {
					abandoned++
				}
				a.finish(tag, ok)
			default:
				a.flush(rapid.Bool().Draw(t, "tick"), false)
			}
		}
		a.close()
		for _, b := range c.broken {
			t.Error(b)
		}
		if got, want := len(c.outstanding), len(open)+abandoned; got != want {
			t.Errorf("%d deliveries are left unacknowledged, want %d", got, want)
		}
	})
}

func TestAcker_Batches(t *testing.T) {
	t.Parallel()
	c := &tagChannel{acked: make(map[uint64]bool)}
	a := newAcker(c.ack, nil, 256)
	a.start()
	for tag := uint64(1); tag <= 6400; tag++ {
		c.mu.Lock()
		c.outstanding = append(c.outstanding, tag)
		c.acked[tag] = true
		c.mu.Unlock()
		a.delivered(tag)
		a.finish(tag, true)
	}
	a.close()
	if c.frames > 640 || len(c.outstanding) > 0 || len(c.broken) > 0 {
		t.Errorf("%d frames for 6,400 deliveries in order, %d left, %q", c.frames, len(c.outstanding), c.broken)
	}
}

// However much is acked above a slow message, a flush visits only what was acked since the
// previous one, and the acker keeps only what is still running.
func TestAcker_KeepsNothingAboveASlowMessage(t *testing.T) {
	t.Parallel()
	const slow, last, batch = 1, 100_000, 64
	acked := 0
	a := newAcker(func(tag uint64, multiple bool) error {
		if multiple && tag != slow {
			t.Errorf("everything up to %d is acknowledged, while %d runs", tag, slow)
		}
		acked++
		return nil
	}, nil, 1024) // not started: the test flushes
	a.delivered(slow)
	a.flush(true, false) // The first tick sees where the mark is, and others that it stays.
	for tag := uint64(slow + 1); tag <= last; tag++ {
		a.delivered(tag)
		a.finish(tag, true)
		if tag%batch != 0 {
			continue
		}
		if looked, holds := len(a.acked), a.running.Len()+len(a.places); looked > batch || holds != 2 {
			t.Fatalf("after %d messages a flush looks at %d, and %d places are held", tag, looked, holds)
		}
		a.flush(true, false)
	}
	a.flush(true, false)
	if acked != last-slow {
		t.Errorf("%d of %d are acknowledged while the first runs", acked, last-slow)
	}
	a.finish(slow, true)
	a.close()
	if acked != last || a.running.Len()+len(a.places)+len(a.acked) > 0 {
		t.Errorf("%d of %d are acknowledged, and something is held: %v", acked, last, a.acked)
	}
}
