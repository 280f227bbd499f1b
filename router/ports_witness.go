package router

import (
	"context"

	"github.com/pitwheel/pitwheel/events"
)

// Witness remembers outside of the store how far the log was published, so that it shows
// when the store has lost the end of the log. Implementations are safe for concurrent use.
type Witness interface {
	// Witnessed returns the highest recorded position of each partition, and the latest
	// epoch; the zero value if nothing was ever recorded.
	Witnessed(ctx context.Context) (events.Witnessed, error)
	// Record records positions of all partitions before their events are published: it
	// returns once the record is on its way and cannot be overtaken by what this process
	// publishes afterwards. confirmed returns nil once it is stored, and an error if ctx
	// ends before.
	Record(ctx context.Context, w events.Witnessed) (confirmed func() error, err error)
}

// GuardedLog is a [Log] that finds out when it has lost its end, and goes on behind what is
// gone, under a new epoch.
type GuardedLog interface {
	// Verify compares the log with everything that is known to have been in it: by its
	// witness, if it has one, and by this process. Where the log ends earlier, it goes on
	// after the gap from now on, and an error is logged.
	Verify(ctx context.Context) error
	// EpochNumber returns the number of the log's epoch, as of the last Verify.
	EpochNumber() uint64
	// Gaps returns what the log has lost, by partition and in order.
	Gaps(ctx context.Context) ([]events.LogGap, error)
}
