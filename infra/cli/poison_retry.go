package cli

import (
	"context"
	"fmt"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/spf13/cobra"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/redis/poisonstore"
	"github.com/pitwheel/pitwheel/router"
	"github.com/pitwheel/pitwheel/router/poison"
)

func (c *cli) poisonRetry() *cobra.Command {
	b := &bulk{c: c, verb: "Retry", done: "retried"}
	var edit bool
	var rate filledText
	cmd := &cobra.Command{
		Use:   "retry [ID…]",
		Short: "Give letters to their handler again",
		Long: "Put messages back into the queue of the handler that could not handle them, and of no other, with the same\n" +
			"identity, and remove their letters. Interrupted and run again, it loses none; what is given twice has the same id.",
		RunE: func(cmd *cobra.Command, ids []string) error {
			var err error
			if b.pause, err = parseRate(string(rate)); err != nil {
				return err
			}
			return c.retryLetters(cmd.Context(), b, ids, edit)
		},
	}
	b.cmd = cmd
	b.flags(c, cmd)
	cmd.Flags().Var(&rate, "rate", "at most so many, such as 50/s or 30/m")
	cmd.Flags().BoolVar(&edit, "edit", false, "open the body of one letter in $EDITOR first")
	cmd.Flags().StringVar(&b.why, "reason", "", "why, for the audit trail")
	return cmd
}

func (c *cli) retryLetters(ctx context.Context, b *bulk, ids []string, edit bool) error {
	if edit && (len(ids) != 1 || b.dryRun) {
		return usagef("--edit needs the id of exactly one letter, and no --dry-run")
	}
	if err := b.begin(ctx, withCommands, ids); err != nil {
		return err
	}
	defer b.client.Close()
	if edit {
		edited, err := c.editLetter(ctx, b, ids[0])
		if err != nil || !edited {
			return err
		}
	}
	r := &retrier{bulk: b, publisher: b.client.queuePublisher(), hasQueue: map[string]error{}}
	return b.run(ctx, r.retry)
}

// retrier gives letters to their handlers again.
type retrier struct {
	*bulk
	publisher message.Publisher
	hasQueue  map[string]error // nil for a queue that is there, else why not
}

// retry works on one batch. What is published is confirmed before its letter is
// removed. An error ends the command: nothing after it would do better.
func (r *retrier) retry(ctx context.Context, heads []poison.Message, t *tally) error {
	ids := make([]string, len(heads))
	for i, l := range heads {
		ids[i] = l.ID
	}
	letters, err := r.client.store.LoadPoison(ctx, ids...)
	if err != nil {
		return err
	}
	t.Done += len(heads) - len(letters) // Somebody else was faster.
	var queues []string
	byQueue := map[string][]poison.Message{}
	for _, l := range letters {
		if err := r.allowed(ctx, l); err != nil {
			t.fail(err, 1)
			continue
		}
		if byQueue[l.Queue] == nil {
			queues = append(queues, l.Queue)
		}
		byQueue[l.Queue] = append(byQueue[l.Queue], l)
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

// allowed tells why a letter cannot be retried.
func (r *retrier) allowed(ctx context.Context, l poison.Message) error {
	if l.Kind == string(router.KindProjection) {
		return events.Errorf(events.CodeInvalid, "the letter is of the projection %s, which reads the log and has no queue: an event that comes later would be applied in the wrong order", l.Handler).
			WithHint("mend the projection, then `%s projection rebuild %s`, and discard its letters", program(), l.Handler)
	}
	err, known := r.hasQueue[l.Queue]
	if !known {
		var has bool
		if has, err = r.client.hasQueue(ctx, l.Queue); err == nil && !has {
			err = events.Errorf(events.CodeUnhandled, "the queue %s of the handler %s does not exist any more; the letter is kept", l.Queue, l.Handler).
				WithHint("start a service that runs %s, or discard its letters", l.Handler)
		}
		r.hasQueue[l.Queue] = err
	}
	return err
}

// publish puts messages into a queue and returns the letters of those that are
// confirmed. If one of them cannot be published at all, the others are.
func (r *retrier) publish(ctx context.Context, queue string, letters []poison.Message, t *tally) ([]poison.Message, error) {
	msgs := make([]*message.Message, len(letters))
	for i, l := range letters {
		msgs[i] = poison.Replay(l)
		msgs[i].SetContext(ctx)
	}
	err := r.publisher.Publish(queue, msgs...)
	switch {
	case err == nil:
		return letters, nil
	case events.CodeOf(err) != events.CodeInvalid:
		return nil, err
	case len(letters) == 1:
		t.fail(fmt.Errorf("letter %s: %w", letters[0].ID, err), 1)
		return nil, nil
	}
	var out []poison.Message
	for _, l := range letters {
		done, err := r.publish(ctx, queue, []poison.Message{l}, t)
		if err != nil {
			return nil, err
		}
		out = append(out, done...)
	}
	return out, nil
}

func (r *retrier) remove(ctx context.Context, letters []poison.Message, t *tally) error {
	removals, err := r.client.store.RemovePoison(ctx, poison.Change{Action: poison.Retried, Who: r.c.who(), Why: r.why}, letters...)
	for _, is := range removals {
		if is == poisonstore.Changed {
			t.FailedAgain++
		} else {
			t.Done++
		}
	}
	return err
}

// queuePublisher publishes straight into queues, on whatever carries messages.
func (c *client) queuePublisher() message.Publisher {
	if c.broker != nil {
		return c.broker.QueuePublisher()
	}
	return c.store.QueuePublisher()
}

// hasQueue tells whether anybody takes messages from a queue.
func (c *client) hasQueue(ctx context.Context, name string) (bool, error) {
	if c.broker != nil {
		return c.broker.HasQueue(ctx, name)
	}
	return c.store.HasQueue(ctx, name)
}
