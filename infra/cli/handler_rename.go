package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/spf13/cobra"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/cli/internal/input"
	"github.com/pitwheel/pitwheel/infra/cli/internal/output"
	"github.com/pitwheel/pitwheel/router"
	"github.com/pitwheel/pitwheel/router/poison"
)

// renameView is the result of a rename.
type renameView struct {
	From     string `json:"from"`
	To       string `json:"to"`
	Messages int    `json:"messages"` // moved from queue to queue
	Poison   int    `json:"poison"`
	Parked   int    `json:"parked"`
}

func (c *cli) renameHandler() *cobra.Command {
	var yes bool
	var reason string
	cmd := &cobra.Command{
		Use: "rename OLD NEW", Args: input.Exactly("the former name", "the handler's name now"),
		Short: "Give what a handler of a former name has left behind to the one of the new name",
		Long: "Move what waits in the queue of a handler that no build declares any more into the queue of one that this build\n" +
			"declares, with its poison messages and what is parked behind them, and remove the former queue. What the former\n" +
			"handler has handled is not handled again. Interrupted and run again, it loses none; a message that is in both queues\n" +
			"has the same id. No running instance may declare the former name within the last minute.",
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.runRename(cmd.Context(), cmd, args[0], args[1], yes, reason)
		},
	}
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	cmd.Flags().StringVar(&reason, "reason", "", "why, for the audit trail")
	return cmd
}

func (c *cli) runRename(ctx context.Context, cmd *cobra.Command, from, to string, yes bool, reason string) error {
	infos, err := c.Describe(c.settings)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(infos, func(info router.HandlerInfo) bool { return info.Name == to })
	if i < 0 {
		return input.NotFound("handler", to, c.HandlerNames())
	}
	info := infos[i]
	former, err := c.left(ctx, from, infos)
	if err != nil {
		return err
	}
	for _, h := range former {
		if err := fits(h, info); err != nil {
			return err
		}
	}
	// Publishing would make a queue that its handler declares otherwise.
	if has, err := c.client.Transport.HasQueue(ctx, info.Queue); err != nil || !has {
		if err == nil {
			err = events.Errorf(events.CodeUnhandled, "the queue %s does not exist yet", info.Queue).WithHint("start a service of this build, and try again")
		}
		return err
	}
	found, err := c.remains(ctx, former, infos)
	if err != nil {
		return err
	}
	if !yes {
		ok, err := c.confirm(ctx, cmd, fmt.Sprintf("Move %s from %s to %s?", found, from, to))
		if err != nil || !ok {
			return err
		}
	}
	view := renameView{From: from, To: to}
	for _, h := range former {
		if err := c.moveHandler(ctx, h, info, infos, reason, &view); err != nil {
			if ctx.Err() != nil {
				return err
			}
			return events.Errorf(codePartly, "%d messages, %d poison messages and %d parked ones are moved, then: %w", view.Messages, view.Poison, view.Parked, err).MayRetry().
				WithHint("go on with `%s handler rename %s %s`", program(), from, to)
		}
	}
	return output.One(c.printer(), view)
}

// fits returns why a handler cannot have the messages of a former one, nil if it can.
func fits(h router.DeclaredHandler, to router.HandlerInfo) error {
	switch {
	case h.Kind == router.KindProjection:
		return events.Errorf(events.CodeInvalid, "%s is a projection, which has no queue: %s reads the log by itself", h.Name, to.Name).
			WithHint("`%s handler remove %s` removes its rows", program(), h.Name)
	case h.Kind != to.Kind:
		return events.Errorf(events.CodeInvalid, "%s was a %s, and %s is a %s", h.Name, h.Kind, to.Name, to.Kind)
	}
	for _, t := range h.Subscription().Types {
		if !slices.Contains(to.Consumes, t) {
			return events.Errorf(events.CodeInvalid, "%s consumed %s, which %s does not: what waits would be poison there", h.Name, t, to.Name).
				WithHint("%s consumes %s", to.Name, strings.Join(to.Consumes, ", "))
		}
	}
	return nil
}

// moveHandler moves everything of a former handler, the record of it last: until then, the
// command can be run again.
func (c *cli) moveHandler(ctx context.Context, h router.DeclaredHandler, to router.HandlerInfo, infos []router.HandlerInfo, reason string, view *renameView) error {
	store, queues := c.client.Store, c.client.Transport.QueuePublisher()
	// The ledger first: what was settled under the former name is not handled again.
	if err := store.RenameLedger(ctx, h.Name, to.Name); err != nil {
		return err
	}
	taken := h.QueueTaken(infos) // It was renamed, and has kept its queue.
	if !taken {
		if err := c.moveQueues(ctx, h, to, view); err != nil {
			return err
		}
	}
	change := poison.Change{Action: poison.Renamed, Who: c.who(), Why: reason}
	n, err := c.movePoison(ctx, h, to, change)
	if view.Poison += n; err != nil {
		return err
	}
	if h.Name != to.Name {
		publish := func(m *message.Message) error { return queues.Publish(to.Queue, m) }
		n, err = store.RenameParking(ctx, h.Name, to.Name, isOrdered(to), publish)
		if view.Parked += n; err != nil {
			return err
		}
	}
	if !taken {
		if err := c.deleteQueues(ctx, h); err != nil {
			return err
		}
	}
	return store.ForgetHandler(ctx, h, to.Name)
}

// moveQueues moves what waits for a former handler, and what is on its way from its poison
// queue to the poison store.
func (c *cli) moveQueues(ctx context.Context, h router.DeclaredHandler, to router.HandlerInfo, view *renameView) error {
	admin, err := c.queueAdmin(ctx)
	if err != nil {
		return err
	}
	for _, s := range h.Subscriptions() {
		n, err := admin.MoveQueue(ctx, s, to.Queue)
		if view.Messages += n; err != nil {
			return err
		}
	}
	n, err := admin.MoveQueue(ctx, router.Subscription{Queue: events.PoisonQueue(h.Queue)}, events.PoisonQueue(to.Queue))
	view.Poison += n
	return err
}

// movePoison gives the poison messages of a former handler to the other one. Each is there
// before it is removed here.
func (c *cli) movePoison(ctx context.Context, h router.DeclaredHandler, to router.HandlerInfo, change poison.Change) (moved int, err error) {
	store := c.client.Store
	heads, err := c.poisonOf(ctx, h)
	if err != nil {
		return 0, err
	}
	for _, head := range heads {
		messages, err := store.LoadPoison(ctx, head.ID)
		if err != nil {
			return moved, err
		}
		for _, m := range messages {
			own := m
			own.Handler, own.Queue, own.Topic = to.Name, to.Queue, to.Topic
			own.ID = poison.ID(to.Name, m.MessageID)
			if err := c.replacePoison(ctx, m, own, change); err != nil {
				return moved, err
			}
			moved++
		}
	}
	return moved, nil
}

// replacePoison stores a poison message in place of another one.
func (c *cli) replacePoison(ctx context.Context, old, own poison.Message, change poison.Change) error {
	store := c.client.Store
	if own.ID == old.ID {
		// The same handler has another queue. Only a later failure replaces what is stored.
		own.LastFailedAt = own.LastFailedAt.Add(time.Millisecond)
		return store.StorePoison(ctx, own)
	}
	if _, err := store.ImportPoison(ctx, own, change); err != nil {
		return err
	}
	_, err := store.RemovePoison(ctx, change, old)
	return err
}

func isOrdered(info router.HandlerInfo) bool {
	return slices.ContainsFunc(info.Settings, func(s router.Setting) bool { return s.Name == "ordered" && s.Value == "true" })
}
