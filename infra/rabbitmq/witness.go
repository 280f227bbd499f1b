package rabbitmq

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router"
	"github.com/pitwheel/pitwheel/router/backoff"
)

const (
	// witnessQueue holds the last records of the log's witness.
	witnessQueue = "pitwheel.witness"
	// witnessLength is how many records the queue keeps. One would do if nobody read it: a
	// reader holds a message while a newer one comes, and gives it back to the end of the
	// queue, so that a queue of one would drop the newer.
	witnessLength = 16
	// witnessLock is the name of an exclusive queue that a reader declares: only one connection
	// can have it. Else one reader would not see the record that another holds.
	witnessLock = witnessQueue + ".reader"
	// witnessPatience is how long an empty queue may be one whose record another reader
	// holds: longer than the broker takes to notice that a reader is dead.
	witnessPatience = 15 * time.Second
	// witnessWait bounds the wait for records that the queue had a moment ago.
	witnessWait = 2 * time.Second
)

var _ router.Witness = (*Witness)(nil)

// Witness is a [router.Witness] in a queue of the broker: {namespace}.pitwheel.witness. Each
// record is one small message with the positions of all partitions. It is safe for
// concurrent use.
type Witness struct {
	broker  *Broker
	reading sync.Mutex // held while this process reads the queue
}

// Witness returns the witness of the broker's namespace. Nothing is declared yet. A process
// should have one.
func (b *Broker) Witness() *Witness { return &Witness{broker: b} }

// Witnessed returns the highest recorded position of each partition. The queue is declared
// if there is none. The codes of its errors are UNAVAILABLE and CONFIG.
func (w *Witness) Witnessed(ctx context.Context) (events.Witnessed, error) {
	made, err := w.declare(ctx)
	if err != nil {
		return events.Witnessed{}, err
	}
	pause := backoff.Backoff{Min: 10 * time.Millisecond, Max: 200 * time.Millisecond}
	for began := time.Now(); !made; {
		known, found, err := w.read(ctx)
		if errors.Is(err, errWitnessLocked) {
			began = time.Now() // Nothing is known about the queue.
		} else if err != nil || found {
			return known, err
		}
		if time.Since(began) > witnessPatience {
			w.broker.cfg.Logger.WarnContext(ctx, "the queue of the log's witness was empty, as if it had been purged; a log that lost its end before is not noticed", slog.String("queue", w.queue()))
			break
		}
		if !pause.Wait(ctx) {
			return events.Witnessed{}, w.unavailable(ctx.Err())
		}
	}
	// From now on an empty queue is one whose record somebody holds.
	return events.Witnessed{}, w.publish(ctx, w.items(events.Witnessed{}))
}

func (w *Witness) queue() string { return w.broker.cfg.qualify(witnessQueue) }

// declare declares the queue, and reports whether it did not exist.
func (w *Witness) declare(ctx context.Context) (made bool, err error) {
	conn, err := w.broker.consume.await(ctx)
	if err != nil {
		return false, err
	}
	passive := func(ch *amqp.Channel) error {
		_, err := ch.QueueDeclarePassive(w.queue(), true, false, false, false, nil)
		return err
	}
	var a *amqp.Error
	switch err := declareOn(conn, passive); {
	case err == nil:
		return false, nil
	case !errors.As(err, &a) || a.Code != amqp.NotFound:
		return false, explainDeclare(err, "queue", w.queue())
	}
	args := amqp.Table{amqp.QueueTypeArg: w.broker.cfg.QueueType, "x-max-length": witnessLength, "x-overflow": "drop-head"}
	if w.broker.cfg.QueueType == Quorum {
		args["x-delivery-limit"] = 1 << 30 // Each reading is a delivery.
	}
	w.broker.declarer.one.Lock()
	defer w.broker.declarer.one.Unlock()
	err = declareOn(conn, func(ch *amqp.Channel) error {
		_, err := ch.QueueDeclare(w.queue(), true, false, false, false, args)
		return err
	})
	if err != nil {
		return false, explainDeclare(err, "queue", w.queue())
	}
	return true, nil
}

// errWitnessLocked is that another process reads the queue just now.
var errWitnessLocked = errors.New("another process reads the witness")

// read returns what the records in the queue say together, and whether there was any. All
// but the newest are removed.
func (w *Witness) read(ctx context.Context) (known events.Witnessed, found bool, err error) {
	w.reading.Lock() // The connection has the lock of the broker for all of this process.
	defer w.reading.Unlock()
	conn, err := w.broker.consume.await(ctx)
	if err != nil {
		return known, false, err
	}
	var locked *amqp.Error
	lock := w.broker.cfg.qualify(witnessLock)
	err = declareOn(conn, func(ch *amqp.Channel) error {
		_, err := ch.QueueDeclare(lock, false, true, true, false, nil)
		return err
	})
	switch {
	case errors.As(err, &locked) && locked.Code == amqp.ResourceLocked:
		return known, false, errWitnessLocked
	case err != nil:
		return known, false, explainDeclare(err, "queue", lock)
	}
	defer func() {
		_ = declareOn(conn, func(ch *amqp.Channel) error { // The broker deletes it with the connection.
			_, err := ch.QueueDelete(lock, false, false, false)
			return err
		})
	}()
	err = declareOn(conn, func(ch *amqp.Channel) error {
		// As many as there are now: the newest that is confirmed is among them.
		q, err := ch.QueueDeclarePassive(w.queue(), true, false, false, false, nil)
		if err != nil || q.Messages == 0 {
			return err
		}
		if err := ch.Qos(2*witnessLength, 0, false); err != nil {
			return err
		}
		deliveries, err := ch.Consume(w.queue(), "", false, false, false, false, nil)
		if err != nil {
			return err
		}
		var records []amqp.Delivery
		ctx, cancel := context.WithTimeout(ctx, witnessWait)
		defer cancel()
		for len(records) < q.Messages && ctx.Err() == nil {
			select {
			case d, ok := <-deliveries:
				if !ok {
					return amqp.ErrClosed
				}
				records = append(records, d)
			case <-ctx.Done(): // Some were superseded, or another reader was given them before.
			}
		}
		decoded := make([]events.Witnessed, len(records))
		for i, d := range records {
			if err := json.Unmarshal(d.Body, &decoded[i]); err != nil {
				return events.Errorf(events.CodeUndecodable, "the queue %s holds a message that is not a record of the witness: %w", w.queue(), err).
					WithHint("find out who publishes there, and purge the queue")
			}
			known.Epoch = max(known.Epoch, decoded[i].Epoch)
			known.Positions = known.Positions.Max(decoded[i].Positions)
		}
		for i, d := range records {
			if superseded(decoded, i) {
				err = d.Ack(false)
			} else {
				err = d.Nack(false, true)
			}
			if err != nil {
				return err
			}
		}
		found = len(records) > 0
		return nil
	})
	if err != nil && events.CodeOf(err) != events.CodeUndecodable {
		err = w.unavailable(err)
	}
	return known, found, err
}

// superseded reports whether another record has all that the one at i has.
func superseded(records []events.Witnessed, i int) bool {
	for j, other := range records {
		if j == i || other.Epoch < records[i].Epoch || other.Positions.Behind(records[i].Positions) > 0 {
			continue
		}
		same := other.Epoch == records[i].Epoch && records[i].Positions.Behind(other.Positions) == 0
		if !same || j > i {
			return true
		}
	}
	return false
}

// Record publishes a record on the channel that events are published on: it is ahead of
// those that are published once Record has returned.
func (w *Witness) Record(ctx context.Context, record events.Witnessed) (confirmed func() error, err error) {
	s := w.broker.sender
	c := &call{ctx: ctx, to: w.destination(), items: w.items(record), written: make(chan struct{})}
	c.mandatory = s.setMandatory(c.to, c.items)
	select {
	case s.calls <- c:
	case <-ctx.Done():
		return nil, w.unavailable(ctx.Err())
	case <-s.done:
		return nil, errClosed
	}
	return func() error {
		left, _, err := s.await(c, progress{total: 1})
		if err == nil && len(left) == 0 {
			return nil
		}
		if ctx.Err() != nil {
			return err
		}
		// It was lost with the connection, or the queue was deleted.
		if _, err := w.declare(ctx); err != nil {
			return err
		}
		return w.publish(ctx, w.items(record))
	}, nil
}

func (w *Witness) destination() destination {
	return destination{queue: w.queue(), mandatory: true}
}

func (w *Witness) publish(ctx context.Context, items []item) error {
	ctx, cancel := w.broker.cfg.within(ctx)
	defer cancel()
	return w.broker.sender.publish(ctx, w.destination(), items)
}

func (w *Witness) items(record events.Witnessed) []item {
	body, _ := json.Marshal(record) // Numbers can always be written.
	return []item{{key: w.queue(), publishing: amqp.Publishing{
		ContentType: "application/json", DeliveryMode: amqp.Persistent, Type: "WITNESS", MessageId: events.NewID(), AppId: w.broker.cfg.AppID, Body: body,
	}}}
}

func (w *Witness) unavailable(err error) error {
	return events.Errorf(events.CodeUnavailable, "the queue %s of RabbitMQ, which is the witness of the log, cannot be read: %w", w.queue(), err).MayRetry()
}
