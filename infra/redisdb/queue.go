package redisdb

import (
	"context"
	"strings"
)

// HasQueue tells whether anybody has ever subscribed to a queue, so that what is
// put into it reaches somebody.
func (s *Store) HasQueue(ctx context.Context, name string) (bool, error) {
	reply, err := s.do(ctx, "xinfo", "groups", s.streamKey(name))
	if err != nil {
		if strings.Contains(err.Error(), "no such key") {
			return false, nil
		}
		return false, err
	}
	groups, _ := reply.([]any)
	for _, g := range groups {
		fields, _ := g.([]any)
		if is, _ := fieldOf(fields, "name"); is == name {
			return true, nil
		}
	}
	return false, nil
}
