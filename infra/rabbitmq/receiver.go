package rabbitmq

import (
	"context"
	"log/slog"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router/backoff"
)

// receiver is what a consumer receives through one channel, and acknowledges.
type receiver struct {
	*consumer
	channel    *amqp.Channel
	deliveries <-chan amqp.Delivery
	acks       *acker
	flushes    chan chan<- struct{}
	gone       chan struct{} // closed when what is not acknowledged was given back to the broker
}

// consume receives deliveries until intake ends or the consumer is lost. In the first case
// it returns when what it received is done and acknowledged.
func (s *consumer) consume(channel *amqp.Channel, deliveries <-chan amqp.Delivery) {
	r := &receiver{
		consumer: s, channel: channel, deliveries: deliveries,
		flushes: make(chan chan<- struct{}), gone: make(chan struct{}),
	}
	defer close(r.gone)
	ctx, abandon := context.WithCancel(s.life)
	defer abandon()
	var prepare func() bool
	if s.cfg.BeforeAck != nil {
		prepare = func() bool { return s.beforeAck(ctx) }
	}
	r.acks = newAcker(channel.Ack, prepare, s.cfg.Prefetch)
	r.acks.start()
	s.mu.Lock()
	s.receiver = r
	s.mu.Unlock()
	if r.receive() {
		abandon()
		r.acks.abandon()
		_ = channel.Close() // If only the consumer was lost, its deliveries are requeued.
		return
	}
	_ = channel.Cancel(s.tag(), true) // An error means that the channel is closed.
	<-s.drained
	// The broker answers channel.close when it has read every acknowledgement before it,
	// and requeues what was never delivered. A quorum queue counts that as a delivery, as
	// it does after basic.nack, basic.reject and basic.recover (seen with 3.10); that is
	// why the delivery limit is high.
	last := make(chan struct{})
	go func() {
		defer close(last)
		r.acks.close()
		_ = channel.Close()
	}()
	if prepare != nil {
		select {
		case <-last:
		case <-s.life.Done(): // Otherwise BeforeAck may take until the deadline of the drain.
		}
	}
	select {
	case <-last:
	case <-time.After(2 * time.Second): // The heartbeat detects a broker that does not answer.
	}
}

// receive returns true if the consumer was lost, and false if intake has ended.
func (r *receiver) receive() (lost bool) {
	for {
		select {
		case d, ok := <-r.deliveries:
			if !ok {
				return r.intake.Err() == nil
			}
			if !r.accept(d) {
				return false
			}
		case done := <-r.flushes:
			if !r.catchUp() {
				return r.intake.Err() == nil
			}
			r.acks.wait(done)
		case <-r.intake.Done():
			return false
		}
	}
}

// accept returns false if intake has ended.
func (r *receiver) accept(d amqp.Delivery) bool {
	r.acks.delivered(d.DeliveryTag)
	msg, _ := r.marshaler.Unmarshal(d) // It never fails.
	return r.window.Push(r.intake, r.cfg.Key(msg), msg, delivery{r.acks, d.DeliveryTag}) == nil
}

// quiet is how long nothing comes out of the AMQP library once it has passed on everything
// that it holds.
const quiet = 20 * time.Millisecond

// catchUp receives what the broker has sent until now. It returns false if the consumer was
// lost or intake has ended.
func (r *receiver) catchUp() bool {
	// The answer comes behind everything that the broker has sent before on this channel.
	if err := r.channel.Qos(r.cfg.Prefetch, 0, false); err != nil {
		return false
	}
	// The library holds no more than the broker sends without an acknowledgement.
	timer := time.NewTimer(quiet)
	defer timer.Stop()
	for range r.cfg.Prefetch {
		select {
		case d, ok := <-r.deliveries:
			if !ok || !r.accept(d) {
				return false
			}
			timer.Reset(quiet)
		case <-timer.C:
			return true
		case <-r.intake.Done():
			return false
		}
	}
	return true
}

// beforeAck calls BeforeAck until it returns nil. It returns false if ctx ends first.
func (s *consumer) beforeAck(ctx context.Context) bool {
	pause := backoff.Backoff{Min: 50 * time.Millisecond, Max: 2 * time.Second}
	for failed := false; ; failed = true {
		err := s.cfg.BeforeAck(ctx)
		switch {
		case err == nil && failed:
			s.set(nil)
			return true
		case err == nil:
			return true
		case ctx.Err() != nil:
			return false
		}
		if !failed {
			s.log.Warn("acknowledgements wait, as what precedes them fails; trying again", slog.Any("error", err))
		}
		s.set(events.Errorf(events.CodeUnavailable, "acknowledgements of queue %s wait, as what precedes them fails: %w", s.queue, err).MayRetry())
		if !pause.Wait(ctx) {
			return false
		}
	}
}

// Flush returns nil once everything that was received before is acknowledged, or was given
// back to the broker.
func (s *consumer) Flush(ctx context.Context) error {
	s.mu.Lock()
	r := s.receiver
	s.mu.Unlock()
	if r == nil {
		return nil
	}
	done := make(chan struct{})
	select {
	case r.flushes <- done:
		select {
		case <-done:
			return nil
		case <-r.gone:
			return nil
		case <-ctx.Done():
		}
	case <-r.gone:
		return nil
	case <-ctx.Done():
	}
	return events.Errorf(events.CodeTimeout, "not all messages received from queue %s are acknowledged yet: %w", s.queue, context.Cause(ctx)).MayRetry()
}
