package routertest

import (
	"context"

	"github.com/ThreeDotsLabs/watermill/message"
)

// parkedKey is a key of a handler that has a blocker.
type parkedKey struct {
	blocker string
	handled string // the last blocker, if it was handled
	parked  []parkedMessage
}

type parkedMessage struct {
	id  string
	msg *message.Message
}

// unpark removes a message if it is the first of the parked ones.
func (k *parkedKey) unpark(id string) {
	if len(k.parked) > 0 && k.parked[0].id == id {
		k.parked = k.parked[1:]
	}
}

// KeyBlocker returns the id of a key's blocker, "" if it has none.
func (s *Store) KeyBlocker(_ context.Context, handler, key string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if k := s.parked[[2]string{handler, key}]; k != nil {
		return k.blocker, nil
	}
	return "", nil
}

// BlockKey makes a message the blocker of its key, unless the key has one.
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

// ParkMessage parks a message behind the blocker of its key.
func (s *Store) ParkMessage(_ context.Context, handler, key, id string, msg *message.Message) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.parked[[2]string{handler, key}]
	switch {
	case k == nil:
		return "", nil
	case k.blocker == id, k.handled == id:
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

// ReleaseKey makes the first parked message of a key its blocker, if there is one.
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
		k.blocker, k.handled = k.parked[0].id, ""
		if handled {
			k.handled = id
		}
	}
	if len(k.parked) == 0 || k.parked[0].id != k.blocker {
		return "", nil, nil
	}
	return k.blocker, k.parked[0].msg.Copy(), nil
}

// UnparkMessage ends the parking of a blocker.
func (s *Store) UnparkMessage(_ context.Context, handler, key, id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if k := s.parked[[2]string{handler, key}]; k != nil && k.blocker == id {
		k.unpark(id)
	}
	return nil
}

// CountParked returns how many keys of a handler have a blocker, and how many messages are
// parked.
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
