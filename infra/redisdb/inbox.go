package redisdb

import "context"

// Seen tells whether the handler has handled the message before, as far back as
// [Config].InboxTTL.
func (s *Store) Seen(ctx context.Context, handler, id string) (bool, error) {
	reply, err := s.do(ctx, "exists", s.inboxKey(handler, id))
	n, _ := reply.(int64)
	return n > 0, err
}

// Record remembers that the handler has handled the message. It comes after the
// handler has succeeded: a message whose handler failed is not taken for a
// duplicate.
func (s *Store) Record(ctx context.Context, handler, id string) error {
	_, err := s.do(ctx, "set", s.inboxKey(handler, id), "", "px", s.inboxTTL.Milliseconds())
	return err
}
