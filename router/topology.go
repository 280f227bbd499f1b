package router

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/pitwheel/pitwheel/router/backoff"
)

const (
	// topologyInterval is how often a running instance records what it declares.
	topologyInterval = 20 * time.Second
	// leftBehindAfter is how long nobody has declared what is taken for left behind: during
	// a rolling update, instances of an older build still run.
	leftBehindAfter = 3 * topologyInterval
	// topologyWarning is how often the log warns of what is left behind.
	topologyWarning = time.Hour
)

// LeftBehind returns which of the recorded handlers of an application nobody declares any
// more: they are not among the declared ones, and no instance has declared them for a minute.
func LeftBehind(recorded []DeclaredHandler, application string, declared []HandlerInfo) []DeclaredHandler {
	var out []DeclaredHandler
	for _, h := range recorded {
		is := func(i HandlerInfo) bool { return i.Name == h.Name && i.Queue == h.Queue }
		if h.Application == application && h.RenamedTo == "" && h.DeclaredAgo >= leftBehindAfter && !slices.ContainsFunc(declared, is) {
			out = append(out, h)
		}
	}
	return out
}

// formerTypes returns the types that the queue of a handler was bound to by former builds,
// on the topic that it has now.
func formerTypes(recorded []DeclaredHandler, p *plan) []string {
	var out []string
	for _, h := range recorded {
		if h.Queue != p.policy.Queue { // Whatever the handler's name was.
			continue
		}
		for _, b := range h.Bindings {
			if b.Topic == p.topic && !slices.Contains(p.consumed(), b.Type) {
				out = append(out, b.Type)
			}
		}
	}
	return out
}

// topologyKeeper records the handlers of this instance while it runs, removes bindings that
// no build declares any more, and shows what is left behind.
type topologyKeeper struct {
	*Router
	started bool
	warned  map[string]time.Time // by the name and the queue of what is left behind
}

// keepTopology runs from when the queues are declared until ctx ends.
func (r *Router) keepTopology(ctx context.Context) {
	if r.config.Topology == nil {
		return
	}
	select {
	case <-r.queuesDeclared:
	case <-ctx.Done():
		return
	}
	k := &topologyKeeper{Router: r, warned: map[string]time.Time{}}
	for {
		if err := k.step(ctx); err != nil && ctx.Err() == nil {
			k.config.Logger.WarnContext(ctx, "topology not recorded, trying again", slog.Any("error", err))
		}
		if !backoff.Wait(ctx, topologyInterval) {
			return
		}
	}
}

func (k *topologyKeeper) step(ctx context.Context) error {
	t := k.config.Topology
	if err := t.DeclareHandlers(ctx, k.topology...); err != nil {
		return err
	}
	recorded, err := t.DeclaredHandlers(ctx)
	if err != nil {
		return err
	}
	if err := k.unbindFormer(ctx, recorded); err != nil {
		return err
	}
	k.started = true
	k.showLeftBehind(ctx, LeftBehind(recorded, k.config.Application, k.infos()))
	return nil
}

// unbindFormer removes the bindings that this build does not declare: all of them at the
// start, since their messages would be poison here, and later those that an instance of an
// older build has made again, once it has ended.
func (k *topologyKeeper) unbindFormer(ctx context.Context, recorded []DeclaredHandler) error {
	admin, ok := k.config.Transport.(QueueAdmin)
	if !ok {
		return nil // Its subscribers have removed those of Subscription.Unbind.
	}
	for _, h := range recorded {
		// A handler that was renamed may have kept its queue.
		i := slices.IndexFunc(k.topology, func(own DeclaredHandler) bool {
			return own.Queue == h.Queue && (own.Name == h.Name || h.Queue != "")
		})
		if i < 0 {
			continue
		}
		var former []Binding
		for _, b := range h.Bindings {
			declared := slices.ContainsFunc(k.topology[i].Bindings, func(own Binding) bool { return own.Topic == b.Topic && own.Type == b.Type })
			if !declared && (!k.started || b.DeclaredAgo >= leftBehindAfter) {
				former = append(former, b)
			}
		}
		for _, b := range former {
			if b.Topic == "" {
				continue // A projection has no queue.
			}
			if err := admin.Unbind(ctx, b.Topic, h.Queue, b.Type); err != nil {
				return err
			}
			k.config.Logger.InfoContext(ctx, "binding removed, as the handler does not want the type any more",
				slog.String("handler", h.Name), slog.String("queue", h.Queue), slog.String("topic", b.Topic), slog.String("type", b.Type))
		}
		if len(former) == 0 {
			continue
		}
		if err := k.config.Topology.ForgetBindings(ctx, h, former...); err != nil {
			return err
		}
	}
	return nil
}

// showLeftBehind sets the metric of messages that nobody will handle, and warns of what is
// left behind: when it is found, and once an hour.
func (k *topologyKeeper) showLeftBehind(ctx context.Context, left []DeclaredHandler) {
	orphaned := k.config.Metrics.orphaned
	orphaned.Reset()
	for _, h := range left {
		attrs := []any{slog.String("handler", h.Name), slog.String("kind", string(h.Kind))}
		if h.Queue != "" && !h.QueueTaken(k.infos()) {
			attrs = append(attrs, slog.String("queue", h.Queue))
			if n, err := k.depth(ctx, h.Subscription()); err == nil {
				orphaned.WithLabelValues(h.Queue).Set(float64(n))
				attrs = append(attrs, slog.Int("messages", n))
			}
		}
		if id := h.Name + "\n" + h.Queue; time.Since(k.warned[id]) >= topologyWarning {
			k.warned[id] = time.Now()
			k.config.Logger.WarnContext(ctx, "a handler that nobody declares any more has left its messages behind; rename or remove it with the command handler", attrs...)
		}
	}
}

// depth returns how many messages wait in a queue that nobody consumes.
func (k *topologyKeeper) depth(ctx context.Context, of Subscription) (int, error) {
	if m, ok := k.config.Transport.(Marker); ok {
		n, _, err := m.QueueDepth(ctx, of.Topic, of.Queue)
		return n, err
	}
	if admin, ok := k.config.Transport.(QueueAdmin); ok {
		return admin.CountQueue(ctx, of)
	}
	return 0, nil
}

// Subscription returns what the handler has subscribed to, by its last declaration.
func (h DeclaredHandler) Subscription() Subscription { return h.Subscriptions()[0] }

// Subscriptions returns what the handler has subscribed to: for each topic that its queue may
// be bound to, the one that was declared last before the others. There is always one.
func (h DeclaredHandler) Subscriptions() []Subscription {
	bindings := slices.SortedStableFunc(slices.Values(h.Bindings), func(a, b Binding) int { return cmp.Compare(a.DeclaredAgo, b.DeclaredAgo) })
	var out []Subscription
	for _, b := range bindings {
		i := slices.IndexFunc(out, func(s Subscription) bool { return s.Topic == b.Topic })
		if i < 0 {
			i = len(out)
			out = append(out, Subscription{Handler: h.Name, Queue: h.Queue, Ordered: h.Ordered, Topic: b.Topic})
		}
		out[i].Types = append(out[i].Types, b.Type)
	}
	if len(out) == 0 {
		out = append(out, Subscription{Handler: h.Name, Queue: h.Queue, Ordered: h.Ordered})
	}
	return out
}

// QueueTaken reports whether one of some declared handlers has the handler's queue, so that
// the queue is not left behind.
func (h DeclaredHandler) QueueTaken(declared []HandlerInfo) bool {
	return h.Queue != "" && slices.ContainsFunc(declared, func(i HandlerInfo) bool { return i.Queue == h.Queue })
}

// IsDeclared reports whether a running instance has declared the handler within the last
// minute, and IsConsumed whether one has consumed its queue.
func (h DeclaredHandler) IsDeclared() bool {
	return h.DeclaredAgo >= 0 && h.DeclaredAgo < leftBehindAfter
}

// IsConsumed is described with IsDeclared.
func (h DeclaredHandler) IsConsumed() bool {
	return h.ConsumedAgo >= 0 && h.ConsumedAgo < leftBehindAfter
}

// infos describes the handlers of this build as far as [LeftBehind] compares them.
func (r *Router) infos() []HandlerInfo {
	out := make([]HandlerInfo, len(r.topology))
	for i, h := range r.topology {
		out[i] = HandlerInfo{Name: h.Name, Queue: h.Queue}
	}
	return out
}

// declaredAs returns what the topology records of a handler.
func (r *Router) declaredAs(p *plan, consumed bool) DeclaredHandler {
	h := DeclaredHandler{Application: r.config.Application, Name: p.name, Kind: p.Kind(), Ordered: p.policy.Ordered, Consumed: consumed && !p.policy.Paused}
	if h.Kind != KindProjection {
		h.Queue = p.policy.Queue
	}
	for _, t := range p.consumed() {
		h.Bindings = append(h.Bindings, Binding{Topic: p.topic, Type: t})
	}
	return h
}
