package routertest

import (
	"context"

	"github.com/pitwheel/pitwheel/events"
)

// checkpoint is a stored checkpoint, with the token that can move it.
type checkpoint struct {
	events.Checkpoint
	token string
}

// Epoch returns the epoch of the log.
func (s *Store) Epoch(context.Context) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.epoch == "" {
		s.epoch = events.NewID()
	}
	return s.epoch, nil
}

// Checkpoint returns how far a role has read the log.
func (s *Store) Checkpoint(_ context.Context, role string) (events.Cursor, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.checkpoints[role].Cursor.Clone(1), nil
}

// OpenCheckpoint returns the checkpoint of a role, and makes the token the only one that can
// move it.
func (s *Store) OpenCheckpoint(_ context.Context, role, token string) (events.Checkpoint, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.checkpoints == nil {
		s.checkpoints = map[string]checkpoint{}
	}
	at := s.checkpoints[role]
	at.token = token
	s.checkpoints[role] = at
	return events.Checkpoint{Cursor: at.Cursor.Clone(1), Epoch: at.Epoch}, nil
}

// SaveCheckpoint moves a role's checkpoint, unless another token has opened it since, or it
// is not where the caller believes.
func (s *Store) SaveCheckpoint(_ context.Context, c events.CheckpointCommit) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := s.checkpoints[c.Role]
	stored, from, to := at.Cursor.At(0), c.From.At(0), c.To.At(0)
	if at.token == "" || at.token != c.Token || from != to && stored != from && stored != to {
		return events.Errorf(events.CodeCursorMoved, "the checkpoint of %s was moved or opened by another instance meanwhile", c.Role).MayRetry()
	}
	if from != to {
		at.Cursor = c.To.Clone(1)
	}
	at.Epoch = c.Epoch
	s.checkpoints[c.Role] = at
	return nil
}
