package events

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
)

// Checkpoint is how far a role has read a log.
type Checkpoint struct {
	// Cursor is how far; nil, or all zero, if it has read nothing.
	Cursor Cursor
	// Epoch is that of the log that was read; empty if nothing was.
	Epoch string
}

// CheckpointCommit moves the checkpoint of a role.
type CheckpointCommit struct {
	Role string
	// Token is that of the instance that has opened the checkpoint. If another one has
	// opened it since, or it is gone, nothing is written.
	Token string
	// Epoch is that of the log that was read.
	Epoch string
	// From is the stored cursor, To the one afterwards. If another one than either is
	// stored, or the log ends before To, nothing is written. To may be before From: a
	// cursor beyond the end of its log is set back.
	From, To Cursor
}

// ProjectionState is how far a projection has read a log.
type ProjectionState struct {
	Checkpoint
	// Rebuild is why the rows do not follow from the log, and the projection must be
	// rebuilt; empty if they do.
	Rebuild string
}

// SameLog reports whether two epochs are of one log. An epoch is the log's identity, which a
// new log never has, and from the second one on a dot and a number: a log that has lost
// its tail goes on in its next epoch, so that no two events have both epoch and position.
func SameLog(a, b string) bool {
	a, _, _ = strings.Cut(a, ".")
	b, _, _ = strings.Cut(b, ".")
	return a == b
}

// Nowhere is a position that lies behind every event: a reader whose cursor has it for a
// partition reads nothing of that partition.
const Nowhere uint64 = math.MaxUint64

// PartitionErrors are why partitions of the log cannot be read on, by partition. The other
// ones can be.
type PartitionErrors map[int]error

// Error returns the text of all of them, in the order of the partitions.
func (e PartitionErrors) Error() string {
	var texts []string
	for _, err := range e.Unwrap() {
		texts = append(texts, err.Error())
	}
	return strings.Join(texts, "; ")
}

// Unwrap returns the errors in the order of the partitions.
func (e PartitionErrors) Unwrap() []error {
	var out []error
	for _, p := range slices.Sorted(maps.Keys(e)) {
		out = append(out, e[p])
	}
	return out
}

// ResumeAt returns where a role goes on reading a log of the given epoch and end, and why if
// that is not its checkpoint: the log has lost what the role has read. A log that has
// taken the place of another one is read from its beginning. Of a log that ends before
// the checkpoint, as after an older copy was restored, everything that comes is read.
func (c Checkpoint) ResumeAt(epoch string, end Cursor) (at Cursor, why string) {
	if c.Epoch != "" && !SameLog(c.Epoch, epoch) {
		return make(Cursor, len(c.Cursor)), fmt.Sprintf("it was read up to %d events of the log %s, and the log is %s now", Cursor(nil).Behind(c.Cursor), c.Epoch, epoch)
	}
	at = c.Cursor.Clone(len(end))
	var beyond []string
	for p, position := range at {
		if last := end.At(p); position > last {
			at[p] = last
			beyond = append(beyond, fmt.Sprintf("partition %d was read up to %d and ends at %d", p, position, last))
		}
	}
	return at, strings.Join(beyond, ", ")
}
