package events

import "time"

// Witnessed is what a witness outside of the store knows about the log.
type Witnessed struct {
	// Epoch is the number of the log's epoch: 0 at first, and a greater one each time that
	// the log has lost its end.
	Epoch uint64 `json:"epoch"`
	// Positions are the last positions that may have been published; nil for none.
	Positions Cursor `json:"positions"`
}

// LogGap is a part of the log that is gone: its store was put back to an earlier state, for
// instance by a failover or from a backup. The positions from End+1 to Witnessed are not used
// again, and neither are the versions that events there may have had.
type LogGap struct {
	Partition int `json:"partition"`
	// End is the position that the partition ended at when the loss was found.
	End uint64 `json:"end"`
	// Witnessed is the last position known to have been in use; the next event follows it.
	Witnessed uint64 `json:"witnessed"`
	// Since is when the loss was found, by the clock of the instance that found it.
	Since time.Time `json:"since"`
	// Accepted reports that an operator has accepted the loss.
	Accepted bool `json:"accepted"`
}

// Lost is how many events are gone.
func (g LogGap) Lost() uint64 { return g.Witnessed - g.End }
