// Package eventlog keeps the log: what happened to every aggregate, and what became of
// every command.
//
// The log has a fixed number of partitions, each a stream of its own. An aggregate's id
// decides which one its events are in. Positions of a partition run 1, 2, 3, … without
// gap, and so do the versions of an aggregate:
//
//	{p3}:log    1-0 user 7 v1 │ 2-0 user 9 v1 │ 3-0 user 7 v2 │ …
//	{p3}:index:user:7         1, 3           its length is the version
//
// [Log.Append] is one script, append.lua: it checks the version and writes the events,
// the index and the outcome of the command, or nothing. All of them are in one slot of a
// Redis Cluster.
//
// A Redis that is put back to an earlier state, by a failover, a crash or from a backup, has
// lost the end of the log, which was published. guard.go has how that is found, by a witness
// outside of Redis, and gaps.go how the log goes on: the next event of the partition follows
// the last position known, and each of its aggregates skips as many versions as the
// partition has lost events, since they may all have been its own. So neither a position nor
// a version ever stands for two published events.
//
// [Log.Read] returns the events of all partitions after a cursor, for those who follow
// the log: the relay and projections. An entry that is not an event ends its partition alone.
//
// [Log.SaveCheckpoint] keeps how far a role has read, for the one that has opened the
// checkpoint last ([Log.OpenCheckpoint]), and never beyond the end of the log: what was on its
// way when Redis lost the log, or while another instance took over, is not kept.
// [Log.Epoch] tells which log it is.
package eventlog
