package routertest

import (
	"context"

	"github.com/ThreeDotsLabs/watermill/message"
)

// parkedKey is a key of a handler that waits for a message.
type parkedKey struct {
	blocker string
	done    string // what was handled as the last blocker
	parked  []parkedMessage
}

type parkedMessage struct {
	id  string
	msg *message.Message
}

// unpark forgets a message that is the first of the parked ones.
func (k *parkedKey) unpark(id string) {
	if len(k.parked) > 0 && k.parked[0].id == id {
		k.parked = k.parked[1:]
	}
}

// KeyBlocker returns the id of the message that a key waits for, "" if none.
func (s *Store) KeyBlocker(_ context.Context, handler, key string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if k := s.parked[[2]string{handler, key}]; k != nil {
		return k.blocker, nil
	}
	return "", nil
}

// BlockKey makes a key wait for a message, unless it waits for one already.
func (s *Store) BlockKey(_ context.Context, handler, key, id string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.parked == nil {
		s.parked = map[[2]string]*parkedKey{}
	}
	k := s.parked[[2]string{handler, key}]
	if k == nil {
		k = &parkedKey{blocker: id}
		s.parked[[2]string{handler, key}] = k
	}
	if k.blocker == id {
		k.unpark(id)
	}
	return k.blocker, nil
}

// ParkMessage keeps a message behind the one that its key waits for.
func (s *Store) ParkMessage(_ context.Context, handler, key, id string, msg *message.Message) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.parked[[2]string{handler, key}]
	switch {
	case k == nil:
		return "", nil
	case k.blocker == id, k.done == id:
		return k.blocker, nil
	}
	for _, p := range k.parked {
		if p.id == id {
			return k.blocker, nil
		}
	}
	k.parked = append(k.parked, parkedMessage{id, msg.Copy()})
	return k.blocker, nil
}

// ReleaseKey lets a key wait for the first of its parked messages, or for none.
func (s *Store) ReleaseKey(_ context.Context, handler, key, id string, handled bool) (string, *message.Message, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.parked[[2]string{handler, key}]
	if k == nil {
		return "", nil, nil
	}
	if k.blocker == id {
		k.unpark(id)
		if len(k.parked) == 0 {
			delete(s.parked, [2]string{handler, key})
			return "", nil, nil
		}
		k.blocker, k.done = k.parked[0].id, ""
		if handled {
			k.done = id
		}
	}
	if len(k.parked) == 0 || k.parked[0].id != k.blocker {
		return "", nil, nil
	}
	return k.blocker, k.parked[0].msg.Copy(), nil
}

// UnparkMessage forgets a message that a key waits for.
func (s *Store) UnparkMessage(_ context.Context, handler, key, id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if k := s.parked[[2]string{handler, key}]; k != nil && k.blocker == id {
		k.unpark(id)
	}
	return nil
}

// CountParked counts the keys that wait, and the messages that are parked.
func (s *Store) CountParked(_ context.Context, handler string) (keys, messages int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, k := range s.parked {
		if name[0] == handler {
			keys++
			messages += len(k.parked)
		}
	}
	return keys, messages, nil
}
