package inbox_test

import (
	"context"
	"testing"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/brokertest"
	"github.com/pitwheel/pitwheel/infra/redis/internal/redistest"
)

// Seen and Record by 50 handlers at once.
func BenchmarkInbox(b *testing.B) {
	s := redistest.Open(b, brokertest.Redis(b))
	ctx := context.Background()
	redistest.Writers(b, func() error {
		id := events.NewID()
		if _, err := s.Seen(ctx, "send-welcome", id); err != nil {
			return err
		}
		return s.Record(ctx, "send-welcome", id)
	})
}
