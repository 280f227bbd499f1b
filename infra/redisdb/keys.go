package redisdb

import "hash/fnv"

// partition returns the partition of an aggregate. It must never change: it says
// where the aggregate's events are.
func (s *Store) partition(aggregateID string) int {
	h := fnv.New32a()
	_, _ = h.Write([]byte(aggregateID)) // It never fails.
	return int(h.Sum32() % uint32(len(s.parts)))
}

func (s *Store) logKey(p int) string { return s.parts[p] + "log" }
func (s *Store) endKey(p int) string { return s.parts[p] + "end" }

func (s *Store) indexKey(p int, aggregate, id string) string {
	return s.parts[p] + "index:" + aggregate + ":" + id
}

func (s *Store) snapshotKey(p int, aggregate, id string) string {
	return s.parts[p] + "snapshot:" + aggregate + ":" + id
}

func (s *Store) outcomeKey(p int, aggregate, id, commandID string) string {
	return s.parts[p] + "outcome:" + aggregate + ":" + id + ":" + commandID
}

func (s *Store) checkpointKey(role string) string { return s.prefix + "checkpoint:" + role }
func (s *Store) leaseKey(role string) string      { return s.prefix + "lease:" + role }

// viewKey names a key of a projection; all of them are in one slot.
func (s *Store) viewKey(projection, name string) string {
	return s.prefix + "{view:" + projection + "}:" + name
}

// streamKey is the stream of a topic or of a queue.
func (s *Store) streamKey(name string) string    { return s.prefix + name }
func (s *Store) bindingsKey(topic string) string { return s.prefix + "bindings:" + topic }
func (s *Store) aliveKey(consumer string) string { return s.prefix + "alive:" + consumer }
