package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router"
)

// leftBehind returns the handlers that no build declares any more, with what they have left
// behind. They are found in the store: where none answers, they cannot be shown.
func (c *cli) leftBehind(ctx context.Context, declared []router.HandlerInfo) ([]handlerView, error) {
	client, err := c.reach(ctx, storeOnly)
	if err != nil {
		if ctx.Err() == nil && c.settings.String("redis_url") != "" {
			_, _ = fmt.Fprintf(c.stderr, "what former builds have left behind is not shown: %v\n", err)
		}
		return nil, ctx.Err()
	}
	recorded, err := client.Store.DeclaredHandlers(ctx)
	if err != nil {
		return nil, err
	}
	var out []handlerView
	for _, h := range router.LeftBehind(recorded, c.Name, declared) {
		s := h.Subscription()
		v := handlerView{Name: h.Name, Kind: string(h.Kind), Consumes: s.Types, Topic: s.Topic, Queue: h.Queue, LeftBehind: true}
		v.Messages, err = c.waiting(ctx, h, declared)
		if err != nil {
			_, _ = fmt.Fprintf(c.stderr, "the messages of %s cannot be counted: %v\n", h.Name, err)
		}
		out = append(out, v)
	}
	return out, ctx.Err()
}

// waiting returns how many messages wait in the queue of a former handler, unless a declared
// one has the queue now.
func (c *cli) waiting(ctx context.Context, h router.DeclaredHandler, declared []router.HandlerInfo) (int, error) {
	if h.Queue == "" || h.QueueTaken(declared) {
		return 0, nil
	}
	admin, err := c.queueAdmin(ctx)
	if err != nil {
		return 0, err
	}
	return admin.CountQueue(ctx, h.Subscription())
}

// queueAdmin connects to what carries the messages.
func (c *cli) queueAdmin(ctx context.Context) (router.QueueAdmin, error) {
	client, err := c.reach(ctx, withCommands)
	if err != nil {
		return nil, err
	}
	admin, ok := client.Transport.(router.QueueAdmin)
	if !ok {
		return nil, events.Errorf(events.CodeInternal, "the transport %T cannot move queues", client.Transport)
	}
	return admin, nil
}

// whyNotConsumed returns why nobody consumes the queue of a handler, by the record of what
// running instances have declared; "" if an instance does, or nothing is recorded at all.
// waits reports whether some instance declares the handler: its messages just wait.
func whyNotConsumed(recorded []router.DeclaredHandler, handler, queue string) (why string, waits bool) {
	if len(recorded) == 0 {
		return "", false // The service is of an older build.
	}
	var others []string
	for _, h := range recorded {
		if h.Queue == queue && h.IsConsumed() {
			return "", false // Also if the handler was renamed and kept its queue.
		}
	}
	for _, h := range recorded {
		switch {
		case h.Name != handler:
		case h.Queue != queue:
			others = append(others, h.Queue)
		case h.RenamedTo != "":
			return fmt.Sprintf("the handler %s was renamed to %s", handler, h.RenamedTo), false
		case h.IsDeclared():
			return fmt.Sprintf("the handler %s is paused, or no running instance has it among its own", handler), true
		default:
			return fmt.Sprintf("the handler %s is not running", handler), false
		}
	}
	if len(others) > 0 {
		return fmt.Sprintf("the handler %s consumes %s now", handler, strings.Join(others, ", ")), false
	}
	return fmt.Sprintf("no running instance has ever declared the handler %s", handler), false
}
