package eventlog

import "hash/fnv"

// partition returns the partition of an aggregate. It must never change: the
// events of existing aggregates are there.
func (l *Log) partition(aggregateID string) int {
	h := fnv.New32a()
	_, _ = h.Write([]byte(aggregateID)) // It never fails.
	return int(h.Sum32() % uint32(len(l.parts)))
}

func (l *Log) logKey(p int) string { return l.parts[p] + "log" }
func (l *Log) endKey(p int) string { return l.parts[p] + "end" }

func (l *Log) gapsKey(p int) string { return l.parts[p] + "gaps" }

func (l *Log) epochKey() string { return l.conn.Key("epoch") }

func (l *Log) indexKey(p int, aggregate, id string) string {
	return l.parts[p] + "index:" + aggregate + ":" + id
}

func (l *Log) snapshotKey(p int, aggregate, id string) string {
	return l.parts[p] + "snapshot:" + aggregate + ":" + id
}

func (l *Log) outcomeKey(p int, aggregate, id, commandID string) string {
	return l.parts[p] + "outcome:" + aggregate + ":" + id + ":" + commandID
}

func (l *Log) checkpointKey(role string) string { return l.conn.Key("checkpoint:" + role) }
