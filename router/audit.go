package router

import (
	"context"
	"log/slog"
	"strconv"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router/backoff"
	"github.com/pitwheel/pitwheel/router/internal/audit"
	"github.com/pitwheel/pitwheel/router/internal/relay"
	"github.com/pitwheel/pitwheel/router/poison"
)

// attendEvery is how often an instance tells the auditor that it consumes a queue.
const attendEvery = time.Second

// newAuditor returns the auditor of all reactions, whether they run here or not.
func (r *Router) newAuditor() *audit.Auditor {
	c := r.config
	handlers := make([]audit.Handler, len(r.reactions))
	for i, p := range r.reactions {
		handlers[i] = audit.Handler{Name: p.name, Queue: p.policy.Queue, Topic: p.topic}
	}
	return audit.New(audit.Config{
		Reader: c.Reader, Ledger: auditLedger{c.Ledger, c.Audit},
		Transport:     auditTransport{c.Metrics.publisher("auditor", c.Transport.QueuePublisher()), c.Marker},
		Relayed:       r.relayed,
		Begin:         r.beginAgain,
		Declare:       r.declareAgain,
		InPoisonStore: r.inPoisonStore(),
		Healed:        func(handler string, n int) { c.Metrics.healed.WithLabelValues(handler).Add(float64(n)) },
		Logger:        c.Logger, Interval: c.AuditInterval, Grace: c.AuditGrace,
	}, handlers)
}

// inPoisonStore returns what reports which of a handler's messages are in the poison store; nil
// without one.
func (r *Router) inPoisonStore() func(ctx context.Context, handler string, ids []string) ([]bool, error) {
	if r.config.Poison == nil {
		return nil
	}
	return func(ctx context.Context, handler string, ids []string) ([]bool, error) {
		of := make([]string, len(ids))
		for i, id := range ids {
			of[i] = poison.ID(handler, id)
		}
		return r.config.Poison.HasPoison(ctx, of...)
	}
}

// auditLedger is both sides of the ledger.
type auditLedger struct {
	Ledger
	AuditLedger
}

// auditTransport is what the auditor uses of the transport.
type auditTransport struct {
	queues message.Publisher
	Marker
}

// Unacknowledged asks a transport where messages of consumers that are gone stay with them until
// another one takes them over.
func (t auditTransport) Unacknowledged(ctx context.Context, topic, queue string) (int, error) {
	if counter, ok := t.Marker.(interface {
		Unacknowledged(ctx context.Context, topic, queue string) (int, error)
	}); ok {
		return counter.Unacknowledged(ctx, topic, queue)
	}
	return 0, nil
}

func (t auditTransport) QueuePublisher() message.Publisher { return t.queues }

// relayed returns how far the log was published.
func (r *Router) relayed(ctx context.Context) (events.Cursor, error) {
	at, err := r.config.Checkpoints.Checkpoint(ctx, relay.Role)
	return at.Clone(r.config.Reader.Partitions()), err
}

// beginAgain begins the ledger of a reaction that the store has lost.
func (r *Router) beginAgain(ctx context.Context, handler string) error {
	for _, p := range r.reactions {
		if p.name == handler {
			_, err := r.beginLedger(ctx, p)
			return err
		}
	}
	return nil
}

// declareAgain declares the queue of a reaction, which was deleted.
func (r *Router) declareAgain(ctx context.Context, handler string) error {
	ctx, cancel := context.WithTimeout(ctx, declareTimeout)
	defer cancel()
	return r.queues[handler].Declare(ctx)
}

// markPassed tells the auditor that one of its marks has arrived.
func (c *consumer) markPassed(msg *message.Message) error {
	n, _ := strconv.ParseUint(msg.Metadata[events.MetaMark], 10, 64) // 0 is no mark.
	if n == 0 || c.account == nil {
		return nil // It is of no use to anybody.
	}
	return c.account.ledger.MarkPassed(msg.Context(), c.account.handler, n)
}

// attend answers the auditor's marks until ctx ends: once a mark has passed, and all that
// this instance had received by then is done.
func (c *consumer) attend(ctx context.Context, instance string) {
	a := c.account
	defer func() {
		leaving, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = a.ledger.Leave(leaving, a.handler, instance) // Otherwise it counts as gone in 30 s.
	}()
	var cleared, flushing uint64
	flushed := make(chan bool, 1)
	for {
		passed, err := a.ledger.Attend(ctx, a.handler, instance, cleared)
		if err != nil && ctx.Err() == nil {
			c.logger.DebugContext(ctx, "auditor not answered", slog.String("handler", a.handler), slog.Any("error", err))
		}
		if err == nil && passed < cleared {
			cleared = 0 // The store was lost, and marks are counted anew.
		}
		if err == nil && flushing == 0 && passed > cleared {
			flushing = passed
			go func() { flushed <- c.sub.(Flusher).Flush(ctx) == nil }() // It ends with ctx.
		}
		select {
		case ok := <-flushed:
			if ok {
				cleared = flushing
			}
			flushing = 0
		case <-time.After(attendEvery):
		case <-ctx.Done():
			if flushing != 0 {
				<-flushed
			}
			return
		}
	}
}

// sampleLedger shows what the last audit has found. A report that is too old says nothing: its
// metrics are left out.
func (r *Router) sampleLedger(ctx context.Context) {
	if r.config.Audit == nil {
		return
	}
	reports, err := r.config.Audit.LedgerReports(ctx)
	if err != nil {
		return // It is sampled again soon.
	}
	m := r.config.Metrics
	for _, p := range r.reactions {
		is, ok := reports[p.name]
		if !ok || time.Since(is.At) > audit.ReportTTL {
			m.unsettled.DeleteLabelValues(p.name)
			m.missing.DeleteLabelValues(p.name)
			m.oldest.DeleteLabelValues(p.name)
			continue
		}
		m.unsettled.WithLabelValues(p.name).Set(float64(is.Events - is.Handled - is.Discarded))
		m.missing.WithLabelValues(p.name).Set(float64(is.Missing))
		m.oldest.WithLabelValues(p.name).Set(is.OldestSeconds)
	}
}

// retry calls f until it succeeds or ctx ends; then it returns false.
func (r *Router) retry(ctx context.Context, f func(context.Context) error) bool {
	pause := backoff.Backoff{Min: 100 * time.Millisecond, Max: 2 * time.Second}
	for {
		err := f(ctx)
		if err == nil {
			r.auditor.Health().OK()
			return true
		}
		r.auditor.Health().Set(err)
		if !pause.Wait(ctx) {
			return false
		}
	}
}
