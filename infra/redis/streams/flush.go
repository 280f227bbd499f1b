package streams

import "context"

// Flush returns nil once everything is acknowledged, or left to another consumer, that this
// subscription, or one that is dead, has received before the call. What was received may
// still be on its way: in a reply of Redis, in a reply that was lost, or read ahead of the
// dispatcher. An error says that Redis cannot be reached, or that BeforeAck fails.
func (sub *consumer) Flush(ctx context.Context) error {
	// Consumers that have left or died are known from here on, and the next round of
	// reading reclaims what they had received.
	if err := sub.heart.beat(ctx); err != nil {
		return err
	}
	sub.mu.Lock()
	intakes := sub.intakes
	sub.mu.Unlock()
	for _, in := range intakes {
		if err := in.flush(ctx); err != nil {
			return err
		}
	}
	if err := sub.dispatch.Flush(ctx); err != nil {
		return err
	}
	return sub.acks.flush(ctx)
}

// flush returns nil once everything is dispatched that was received before the call: at the
// end of a round of reading that begins after it.
func (in *intake) flush(ctx context.Context) error {
	passed := make(chan struct{})
	in.mu.Lock()
	in.flushes = append(in.flushes, passed)
	in.mu.Unlock()
	select {
	case <-passed:
	case <-in.ended: // What it has not dispatched stays pending, for another consumer.
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

func (in *intake) takeFlushes() []chan struct{} {
	in.mu.Lock()
	defer in.mu.Unlock()
	out := in.flushes
	in.flushes = nil
	return out
}

// endRound sends a mark to dispatch for each caller of flush from before a round of reading
// that has succeeded. If it has failed, they wait for the next one.
func (in *intake) endRound(ctx context.Context, flushes []chan struct{}, err error) error {
	if err != nil {
		in.mu.Lock()
		defer in.mu.Unlock()
		in.flushes = append(in.flushes, flushes...)
		return err
	}
	for _, passed := range flushes {
		if err := in.pass(ctx, batch{passed: passed}); err != nil {
			return err // The term is over.
		}
	}
	return nil
}
