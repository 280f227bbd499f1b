package poison

import (
	"context"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/pitwheel/pitwheel/events"
)

// Retry publishes the messages of a plan to the queues of their handlers and removes each
// when the broker has confirmed it. Operations at the same time share the messages: each is
// retried or discarded by one of them. Whether its handler can process it now is seen later:
// see [Admin.Follow]. A message that fails again before it is removed is kept and counted
// as failed again. Messages of projections, which have no queue, and
// those whose queue does not exist are problems in the tally.
//
// An error means that the operation ended early; the tally says how far it came. If ctx
// ends, the batch in progress is finished and ctx's error returned. Retrying the same
// selection again continues with what is left.
func (a *Admin) Retry(ctx context.Context, p Plan, o Options) (Tally, error) {
	r := retrier{a, map[string]error{}, Change{Action: Retried, Who: o.Who, Why: o.Why}, o.Retried}
	return a.run(ctx, p, o, r.retry)
}

type retrier struct {
	*Admin
	hasQueue map[string]error // nil for a queue that exists, else why it cannot be used
	change   Change
	retried  func([]Message) // nil: nobody asks
}

// retry processes one batch.
func (r *retrier) retry(ctx context.Context, heads []Message, t *Tally) error {
	messages, err := r.whole(ctx, heads)
	if err != nil {
		return err
	}
	t.Done += len(heads) - len(messages) // Another operation was faster.
	var queues []string
	byQueue := map[string][]Message{}
	for _, m := range messages {
		if err := r.allowed(ctx, m); err != nil {
			t.fail(err, m)
			continue
		}
		if byQueue[m.Queue] == nil {
			queues = append(queues, m.Queue)
		}
		byQueue[m.Queue] = append(byQueue[m.Queue], m)
	}
	for _, q := range queues {
		published, err := r.publish(ctx, q, byQueue[q], t)
		if err == nil {
			err = r.remove(ctx, published, t)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// allowed returns why a message cannot be retried, or nil.
func (r *retrier) allowed(ctx context.Context, m Message) error {
	if m.Kind == kindProjection {
		return events.Errorf(events.CodeInvalid, "the poison message is of the projection %s, which reads the log and has no queue: an event that arrives later would be applied in the wrong order", m.Handler).
			WithHint("correct the projection and rebuild it, then discard its poison messages")
	}
	err, known := r.hasQueue[m.Queue]
	if !known {
		var has bool
		if has, err = r.queues.HasQueue(ctx, m.Queue); err == nil && !has {
			err = events.Errorf(events.CodeUnhandled, "the queue %s of the handler %s does not exist any more; the poison message is kept", m.Queue, m.Handler).
				WithHint("start a service that runs %s, or discard its poison messages", m.Handler)
		}
		r.hasQueue[m.Queue] = err
	}
	return err
}

// publish publishes messages to a queue and returns those that are confirmed. One that the
// broker can never accept does not keep it from publishing the others.
func (r *retrier) publish(ctx context.Context, queue string, messages []Message, t *Tally) ([]Message, error) {
	msgs := make([]*message.Message, len(messages))
	for i, m := range messages {
		msgs[i] = Replay(m)
		if err := requeued(ctx, r.ledger, m.Handler, msgs[i]); err != nil {
			return nil, err
		}
		messages[i].Metadata = msgs[i].Metadata // It says whether to handle the message again.
		msgs[i].SetContext(ctx)
	}
	err := r.queues.QueuePublisher().Publish(queue, msgs...)
	switch {
	case err == nil:
		return messages, nil
	case events.CodeOf(err) != events.CodeInvalid:
		return nil, err
	case len(messages) == 1:
		t.fail(events.Errorf(events.CodeInvalid, "poison message %s: %w", messages[0].ID, err), messages[0])
		return nil, nil
	}
	var out []Message
	for i := range messages {
		done, err := r.publish(ctx, queue, messages[i:i+1], t)
		if err != nil {
			return nil, err
		}
		out = append(out, done...)
	}
	return out, nil
}

func (r *retrier) remove(ctx context.Context, messages []Message, t *Tally) error {
	removals, err := r.store.RemovePoison(ctx, r.change, messages...)
	var retried []Message
	for i, is := range removals {
		if is == Changed {
			t.FailedAgain++
		} else {
			t.Done++
			m := messages[i].head()
			m.Metadata = messages[i].Metadata // It says where the event is in the log.
			retried = append(retried, m)
		}
	}
	if r.retried != nil {
		r.retried(retried)
	}
	return err
}
