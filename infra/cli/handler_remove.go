package cli

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/cli/internal/input"
	"github.com/pitwheel/pitwheel/infra/cli/internal/output"
	"github.com/pitwheel/pitwheel/router"
	"github.com/pitwheel/pitwheel/router/poison"
)

// remains is what former handlers have left behind.
type remains struct {
	Messages int `json:"messages"` // in queues, delayed ones included
	Poison   int `json:"poison"`   // poison messages, in the store and on their way to it
	Parked   int `json:"parked"`
}

func (r remains) String() string {
	return fmt.Sprintf("%d messages, %d poison messages and %d parked ones", r.Messages, r.Poison, r.Parked)
}

// removeView is the result of a removal: what was lost with the handler.
type removeView struct {
	Name string `json:"name"`
	remains
}

func (c *cli) removeHandler() *cobra.Command {
	var yes, force bool
	var reason string
	cmd := &cobra.Command{
		Use: "remove OLD", Args: input.Exactly("the former name"),
		Short: "Remove what a handler has left behind that no build declares any more",
		Long: "Remove the queues of a handler that no build declares any more; of a projection, its rows. While there are\n" +
			"messages, that needs --force and --reason, and these are lost: `handler rename` moves them, and `poison export`\n" +
			"saves poison messages. No running instance may declare the name within the last minute.",
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.runRemove(cmd.Context(), cmd, args[0], yes, force, reason)
		},
	}
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	cmd.Flags().BoolVar(&force, "force", false, "also if messages are lost")
	cmd.Flags().StringVar(&reason, "reason", "", "why they are not needed, for the audit trail; required with --force")
	return cmd
}

func (c *cli) runRemove(ctx context.Context, cmd *cobra.Command, name string, yes, force bool, reason string) error {
	if force && reason == "" {
		return input.Usagef("`%s` --force needs --reason: it is kept in the audit trail", cmd.CommandPath())
	}
	infos, err := c.Describe(c.settings)
	if err != nil {
		return err
	}
	former, err := c.left(ctx, name, infos)
	if err != nil {
		return err
	}
	found, err := c.remains(ctx, former, infos)
	if err != nil {
		return err
	}
	question := fmt.Sprintf("Remove %s?", name)
	if found != (remains{}) {
		if !force {
			return events.Errorf(events.CodeConflict, "%s has left %s behind, which would be lost", name, found).
				WithHint("`%[1]s handler rename %[2]s NEW` moves them, `%[1]s poison export --handler %[2]s` saves poison messages, and --force removes all", program(), name)
		}
		question = fmt.Sprintf("Remove %s and lose %s?", name, found)
	}
	if !yes {
		ok, err := c.confirm(ctx, cmd, question)
		if err != nil || !ok {
			return err
		}
	}
	for _, h := range former {
		if err := c.removeFormer(ctx, h, infos, reason); err != nil {
			return err
		}
	}
	return output.One(c.printer(), removeView{name, found})
}

// removeFormer removes everything of a former handler, the record of it last.
func (c *cli) removeFormer(ctx context.Context, h router.DeclaredHandler, infos []router.HandlerInfo, reason string) error {
	store := c.client.Store
	if !h.QueueTaken(infos) {
		if err := c.deleteQueues(ctx, h); err != nil {
			return err
		}
	}
	declared := slices.ContainsFunc(infos, func(i router.HandlerInfo) bool { return i.Name == h.Name })
	switch {
	case declared: // It has another queue now; the rest is its own.
	case h.Kind == router.KindProjection:
		if err := store.DropProjection(ctx, h.Name); err != nil {
			return err
		}
	default:
		if err := store.DropParking(ctx, h.Name); err != nil {
			return err
		}
		if err := store.RemoveLedger(ctx, h.Name); err != nil {
			return err
		}
	}
	heads, err := c.poisonOf(ctx, h)
	if err != nil {
		return err
	}
	for batch := range slices.Chunk(heads, 100) {
		if _, err := store.RemovePoison(ctx, poison.Change{Action: poison.Discarded, Who: c.who(), Why: reason}, batch...); err != nil {
			return err
		}
	}
	return store.ForgetHandler(ctx, h, "")
}

// deleteQueues deletes the queues of a former handler. A projection has a poison queue only,
// named like itself.
func (c *cli) deleteQueues(ctx context.Context, h router.DeclaredHandler) error {
	admin, err := c.queueAdmin(ctx)
	if err != nil {
		return err
	}
	for _, s := range h.Subscriptions() {
		if err := admin.DeleteQueue(ctx, s.Topic, cmp.Or(h.Queue, h.Name)); err != nil {
			return err
		}
	}
	return nil
}

// left returns what is recorded of a former handler. An error has the code CONFLICT if it is
// declared still, and NOT_FOUND if nothing is recorded.
func (c *cli) left(ctx context.Context, name string, infos []router.HandlerInfo) ([]router.DeclaredHandler, error) {
	client, err := c.reach(ctx, withCommands)
	if err != nil {
		return nil, err
	}
	recorded, err := client.Store.DeclaredHandlers(ctx)
	if err != nil {
		return nil, err
	}
	var names []string
	var former []router.DeclaredHandler
	for _, h := range router.LeftBehind(recorded, c.Name, infos) {
		names = append(names, h.Name)
		if h.Name == name {
			former = append(former, h)
		}
	}
	if len(former) > 0 {
		return former, nil
	}
	if slices.ContainsFunc(infos, func(i router.HandlerInfo) bool { return i.Name == name }) {
		return nil, events.Errorf(events.CodeConflict, "the handler %s is declared in this build", name)
	}
	for _, h := range recorded {
		if h.Name == name && h.Application == c.Name && h.IsDeclared() {
			return nil, events.Errorf(events.CodeConflict, "a running instance has declared the handler %s %d s ago", name, int(h.DeclaredAgo.Seconds())).
				WithHint("stop the instances of the former build, and try again after a minute")
		}
	}
	return nil, input.NotFound("handler left behind", name, names)
}

// remains counts what former handlers of one name have left behind.
func (c *cli) remains(ctx context.Context, former []router.DeclaredHandler, infos []router.HandlerInfo) (r remains, err error) {
	admin, err := c.queueAdmin(ctx)
	if err != nil {
		return r, err
	}
	for _, h := range former {
		n, err := c.waiting(ctx, h, infos)
		if err != nil {
			return r, err
		}
		r.Messages += n
		if !h.QueueTaken(infos) {
			if n, err = admin.CountQueue(ctx, router.Subscription{Queue: events.PoisonQueue(cmp.Or(h.Queue, h.Name))}); err != nil {
				return r, err
			}
			r.Poison += n
		}
		heads, err := c.poisonOf(ctx, h)
		if err != nil {
			return r, err
		}
		r.Poison += len(heads)
	}
	if len(former) > 0 {
		_, r.Parked, err = c.client.Store.CountParked(ctx, former[0].Name)
	}
	return r, err
}

// poisonOf returns the poison messages of a former handler, without their bodies.
func (c *cli) poisonOf(ctx context.Context, h router.DeclaredHandler) ([]poison.Message, error) {
	var out []poison.Message
	for m, err := range c.client.Store.PoisonMessages(ctx, poison.Filter{Fields: map[string][]string{"handler": {h.Name}}}, poison.OldestFirst) {
		if err != nil {
			return nil, err
		}
		if h.Queue == "" || m.Queue == h.Queue {
			out = append(out, m)
		}
	}
	return out, nil
}
