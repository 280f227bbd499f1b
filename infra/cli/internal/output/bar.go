package output

import (
	"io"
	"time"

	"github.com/jedib0t/go-pretty/v6/progress"

	"github.com/pitwheel/pitwheel/infra/telemetry"
)

// Bar shows the progress of a long command on a terminal. A nil Bar shows nothing.
type Bar struct {
	writer  progress.Writer
	tracker *progress.Tracker
	ended   chan struct{}
}

// NewBar draws a bar until it is closed, or returns nil if w is not a terminal.
func NewBar(w io.Writer, what string, total int) *Bar {
	if !telemetry.IsTerminal(w) || total == 0 {
		return nil
	}
	b := &Bar{writer: progress.NewWriter(), tracker: &progress.Tracker{Message: what, Total: int64(total)}, ended: make(chan struct{})}
	b.writer.SetOutputWriter(w)
	b.writer.SetUpdateFrequency(100 * time.Millisecond)
	b.writer.AppendTracker(b.tracker)
	go func() {
		defer close(b.ended)
		b.writer.Render()
	}()
	return b
}

// Add advances the bar.
func (b *Bar) Add(n int) {
	if b != nil {
		b.tracker.Increment(int64(n))
	}
}

// Close leaves the bar as it is.
func (b *Bar) Close() {
	if b == nil {
		return
	}
	for {
		b.writer.Stop() // It has no effect before the bar is drawn first.
		select {
		case <-b.ended:
			return
		case <-time.After(10 * time.Millisecond):
		}
	}
}
