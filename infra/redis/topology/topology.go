package topology

import (
	"cmp"
	"context"
	_ "embed" // scripts
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/redis/conn"
	"github.com/pitwheel/pitwheel/router"
)

//go:embed declare.lua
var declareLua string

// separator stands between the parts of a field's name. Names of handlers, queues and
// types have no control characters.
const separator = "\x1f"

// Topology is a [router.Topology]. It is safe for concurrent use.
type Topology struct {
	conn    *conn.Conn
	declare *conn.Script
}

var _ router.Topology = (*Topology)(nil)

// New returns the record on a connection.
func New(c *conn.Conn) *Topology { return &Topology{c, conn.NewScript(declareLua)} }

func (t *Topology) key() string { return t.conn.Key("topology") }

// record is what the field "handler" has.
type record struct {
	Application string      `json:"application"`
	Kind        router.Kind `json:"kind"`
	Ordered     bool        `json:"ordered"`
}

func prefix(h router.DeclaredHandler) string { return h.Name + separator + h.Queue + separator }

func bindingField(b router.Binding) string {
	return "binding" + separator + b.Topic + separator + b.Type
}

// DeclareHandlers is as in [router.Topology].
func (t *Topology) DeclareHandlers(ctx context.Context, handlers ...router.DeclaredHandler) error {
	for _, h := range handlers {
		text, err := json.Marshal(record{h.Application, h.Kind, h.Ordered})
		if err != nil {
			return err
		}
		consumed := 0
		if h.Consumed {
			consumed = 1
		}
		args := []any{prefix(h), text, consumed}
		for _, b := range h.Bindings {
			args = append(args, bindingField(b))
		}
		if _, err := t.conn.Run(ctx, t.declare, []string{t.key()}, args...); err != nil {
			return err
		}
	}
	return nil
}

// DeclaredHandlers is as in [router.Topology].
func (t *Topology) DeclaredHandlers(ctx context.Context) ([]router.DeclaredHandler, error) {
	now, err := t.now(ctx)
	if err != nil {
		return nil, err
	}
	fields, err := t.fields(ctx)
	if err != nil {
		return nil, err
	}
	found := map[string]*router.DeclaredHandler{}
	for name, value := range fields {
		parts := strings.Split(name, separator)
		if len(parts) < 3 {
			return nil, events.Errorf(events.CodeInternal, "the topology has a field %.200q, which is not one of a handler", name)
		}
		id := parts[0] + separator + parts[1]
		h := found[id]
		if h == nil {
			h = &router.DeclaredHandler{Name: parts[0], Queue: parts[1], DeclaredAgo: -1, ConsumedAgo: -1}
			found[id] = h
		}
		if err := read(h, parts[2:], value, now); err != nil {
			return nil, events.Errorf(events.CodeInternal, "the topology's field %.200q is %.200q: %w", name, value, err)
		}
	}
	var out []router.DeclaredHandler
	for _, h := range found {
		slices.SortFunc(h.Bindings, func(a, b router.Binding) int {
			return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Type, b.Type))
		})
		out = append(out, *h)
	}
	slices.SortFunc(out, func(a, b router.DeclaredHandler) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Queue, b.Queue))
	})
	return out, nil
}

// read reads one field of a handler.
func read(h *router.DeclaredHandler, field []string, value string, now time.Time) error {
	var err error
	at := func() (ms time.Time) {
		var n int64
		n, err = strconv.ParseInt(value, 10, 64)
		return time.UnixMilli(n).UTC()
	}
	switch field[0] {
	case "handler":
		var r record
		err = json.Unmarshal([]byte(value), &r)
		h.Application, h.Kind, h.Ordered = r.Application, r.Kind, r.Ordered
	case "since":
		h.Since = at()
	case "declared":
		h.DeclaredAgo = max(now.Sub(at()), 0)
	case "consumed":
		h.ConsumedAgo = max(now.Sub(at()), 0)
	case "renamed":
		h.RenamedTo = value
	case "binding":
		if len(field) == 3 {
			h.Bindings = append(h.Bindings, router.Binding{Topic: field[1], Type: field[2], DeclaredAgo: max(now.Sub(at()), 0)})
		}
	}
	return err
}

// now returns the time of the server, by which everything is recorded.
func (t *Topology) now(ctx context.Context) (time.Time, error) {
	reply, err := t.conn.Do(ctx, "time")
	if err != nil {
		return time.Time{}, err
	}
	parts, _ := reply.([]any)
	if len(parts) != 2 {
		return time.Time{}, events.Errorf(events.CodeInternal, "Redis replied %v to TIME", reply)
	}
	seconds, err1 := strconv.ParseInt(conn.Text(parts[0]), 10, 64)
	micros, err2 := strconv.ParseInt(conn.Text(parts[1]), 10, 64)
	return time.Unix(seconds, micros*1000), cmp.Or(err1, err2)
}

// fields returns the whole hash.
func (t *Topology) fields(ctx context.Context) (map[string]string, error) {
	reply, err := t.conn.Do(ctx, "hgetall", t.key())
	if err != nil {
		return nil, err
	}
	out := map[string]string{}
	switch reply := reply.(type) {
	case map[any]any:
		for name, value := range reply {
			out[conn.Text(name)] = conn.Text(value)
		}
	case []any:
		for i := 0; i+1 < len(reply); i += 2 {
			out[conn.Text(reply[i])] = conn.Text(reply[i+1])
		}
	}
	return out, nil
}

// ForgetBindings is as in [router.Topology].
func (t *Topology) ForgetBindings(ctx context.Context, h router.DeclaredHandler, bindings ...router.Binding) error {
	args := []any{"hdel", t.key()}
	for _, b := range bindings {
		args = append(args, prefix(h)+bindingField(b))
	}
	if len(bindings) == 0 {
		return nil
	}
	_, err := t.conn.Do(ctx, args...)
	return err
}

// ForgetHandler is as in [router.Topology].
func (t *Topology) ForgetHandler(ctx context.Context, h router.DeclaredHandler, renamedTo string) error {
	if renamedTo != "" {
		if _, err := t.conn.Do(ctx, "hset", t.key(), prefix(h)+"renamed", renamedTo); err != nil {
			return err
		}
	}
	fields, err := t.fields(ctx)
	if err != nil {
		return err
	}
	args := []any{"hdel", t.key()}
	for name := range fields {
		rest, of := strings.CutPrefix(name, prefix(h))
		if of && (rest != "renamed" && rest != "handler" || renamedTo == "") {
			args = append(args, name)
		}
	}
	if len(args) == 2 {
		return nil
	}
	_, err = t.conn.Do(ctx, args...)
	return err
}
