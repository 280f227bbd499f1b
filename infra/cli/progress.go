package cli

import (
	"io"
	"time"

	"github.com/jedib0t/go-pretty/v6/progress"

	"github.com/pitwheel/pitwheel/infra/telemetry"
)

// bar shows the progress of a long command on a terminal. A nil bar shows nothing.
type bar struct {
	writer  progress.Writer
	tracker *progress.Tracker
	ended   chan struct{}
}

// newBar draws a bar until it is closed, or returns nil if w is not a terminal.
func newBar(w io.Writer, what string, total int) *bar {
	if !telemetry.IsTerminal(w) || total == 0 {
		return nil
	}
	b := &bar{writer: progress.NewWriter(), tracker: &progress.Tracker{Message: what, Total: int64(total)}, ended: make(chan struct{})}
	b.writer.SetOutputWriter(w)
	b.writer.SetUpdateFrequency(100 * time.Millisecond)
	b.writer.AppendTracker(b.tracker)
	go func() {
		defer close(b.ended)
		b.writer.Render()
	}()
	return b
}

// add advances the bar.
func (b *bar) add(n int) {
	if b != nil {
		b.tracker.Increment(int64(n))
	}
}

// close leaves the bar as it is.
func (b *bar) close() {
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
