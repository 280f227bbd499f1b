package poisonstore

import (
	"context"
	_ "embed" // scripts
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/pitwheel/pitwheel/infra/redis/conn"
	"github.com/pitwheel/pitwheel/router/poison"
)

var (
	//go:embed store.lua
	storeLua string
	//go:embed remove.lua
	removeLua string
	//go:embed edit.lua
	editLua string
	//go:embed claim.lua
	claimLua string
)

// PoisonStore keeps poison messages. It is safe for concurrent use.
type PoisonStore struct {
	conn                       *conn.Conn
	store, remove, edit, claim *conn.Script
}

// New returns the poison store on a connection.
func New(c *conn.Conn) *PoisonStore {
	return &PoisonStore{
		conn: c, store: conn.NewScript(storeLua), remove: conn.NewScript(removeLua), edit: conn.NewScript(editLua), claim: conn.NewScript(claimLua),
	}
}

// key names a key of the poison store; all of them are in one slot.
func (p *PoisonStore) key(name string) string         { return p.conn.Key("{poison}:" + name) }
func (p *PoisonStore) messageKey(id string) string    { return p.key("message:" + id) }
func (p *PoisonStore) claimKey(id string) string      { return p.key("claim:" + id) }
func (p *PoisonStore) indexKey(handler string) string { return p.key("index:" + handler) }

// details are the part of a poison message that a list leaves out.
type details struct {
	Stack    string            `json:"stack,omitempty"`
	Metadata map[string]string `json:"metadata,omitempty"`
}

// StorePoison keeps a poison message, or one more failure of one that is kept already: its
// failures are counted, its first failure stays, and its last one replaces what the error
// was. The same failure again changes nothing.
func (p *PoisonStore) StorePoison(ctx context.Context, m poison.Message) error {
	_, err := p.storeMessage(ctx, m, nil)
	return err
}

// ImportPoison keeps a poison message that comes from elsewhere, unless it exists already,
// and reports whether it did so. The change says who wanted it, and why.
func (p *PoisonStore) ImportPoison(ctx context.Context, m poison.Message, c poison.Change) (bool, error) {
	c.Action = poison.Imported
	return p.storeMessage(ctx, m, auditFields(m, c))
}

func (p *PoisonStore) storeMessage(ctx context.Context, m poison.Message, audit []any) (bool, error) {
	rest, err := json.Marshal(details{m.Stack, m.Metadata})
	if err != nil {
		return false, err
	}
	head := m
	head.Stack, head.Metadata, head.Body = "", nil, nil
	text, err := json.Marshal(head)
	if err != nil {
		return false, err
	}
	// A retried message may fail within the same millisecond, but it brings its number of
	// failures.
	failure := fmt.Sprint(m.LastFailedAt.UnixMilli(), m.Source, m.Failures)
	args := append([]any{
		m.Handler, place(m.LastFailedAt, m.ID), failure, m.Failures, max(0, m.FirstFailedAt.UnixMilli()),
		text, rest, m.Body, len(m.Body),
	}, audit...)
	reply, err := p.conn.Run(ctx, p.store, []string{
		p.messageKey(m.ID), p.key("index"), p.indexKey(m.Handler), p.key("counts"), p.key("revision"), p.key("audit"), p.claimKey(m.ID),
	}, args...)
	return reply == int64(1), err
}

// place is where a poison message stands in the indexes: sorted by time, and by id within
// a millisecond, so that a reader can continue after any place, also one that no longer
// exists.
func place(at time.Time, id string) string {
	return fmt.Sprintf("%015d:%s", max(0, at.UnixMilli()), id)
}

// idOf returns the id in a place, which follows 15 digits and a colon.
func idOf(place string) string { return place[min(16, len(place)):] }

// CountPoison returns how many poison messages there are, by handler. A handler that has
// none may be missing.
func (p *PoisonStore) CountPoison(ctx context.Context) (map[string]int, error) {
	reply, err := p.conn.Do(ctx, "hgetall", p.key("counts"))
	if err != nil {
		return nil, err
	}
	out := map[string]int{}
	flat, _ := reply.([]any)
	for i := 0; i+1 < len(flat); i += 2 {
		if n, err := strconv.Atoi(conn.Text(flat[i+1])); err == nil && n > 0 {
			out[conn.Text(flat[i])] = n
		}
	}
	return out, nil
}
