package catchup

import (
	"context"
	"errors"
	"fmt"

	"github.com/pitwheel/pitwheel/events"
)

// Where returns the epoch and the end of a log. The end of a partition that cannot be read
// is [events.Nowhere]: that shows when the partition is read.
func Where(ctx context.Context, reader Reader) (epoch string, end events.Cursor, err error) {
	if epoch, err = reader.Epoch(ctx); err != nil {
		return "", nil, err
	}
	end, err = reader.End(ctx)
	var broken events.PartitionErrors
	if errors.As(err, &broken) {
		err = nil
	}
	return epoch, end, err
}

// Check returns an error with the code CURSOR_MOVED unless a log is the one that was read up
// to a cursor: it has another epoch, or ends before the cursor.
func Check(ctx context.Context, reader Reader, at events.Checkpoint) error {
	epoch, end, err := Where(ctx, reader)
	if err != nil {
		return err
	}
	if epoch != at.Epoch {
		return events.Errorf(events.CodeCursorMoved, "the log had the epoch %s, and now has %s", at.Epoch, epoch)
	}
	if _, why := at.ResumeAt(epoch, end); why != "" {
		return events.Errorf(events.CodeCursorMoved, "the log has lost events: %s", why)
	}
	return nil
}

// PartitionName is how the health of a role names a partition.
func PartitionName(partition int) string { return fmt.Sprintf("partition %d", partition) }
