package streams

import (
	"context"
	_ "embed" // scripts
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/pitwheel/pitwheel/infra/redis/conn"
	"github.com/pitwheel/pitwheel/router"
)

const (
	minRetry = 50 * time.Millisecond // the first pause after something failed
	maxRetry = 2 * time.Second
)

var (
	//go:embed publish.lua
	publishLua string
	//go:embed delay.lua
	delayLua string
	//go:embed due.lua
	dueLua string
	//go:embed claim.lua
	claimLua string
	//go:embed trim.lua
	trimLua string
	//go:embed depth.lua
	depthLua string
)

type scripts struct{ publish, delay, due, claim, trim, depth *conn.Script }

var _ router.Transport = (*Transport)(nil)

// Prefetcher looks up in the inbox, for a whole batch of messages that a handler is about
// to receive, which it has handled before, so that the handler's own lookups need no
// round trip.
type Prefetcher interface {
	Prefetch(ctx context.Context, handler string, msgs []*message.Message)
}

// Transport carries messages on Redis Streams. It is safe for concurrent use.
type Transport struct {
	conn      *conn.Conn
	inbox     Prefetcher
	elector   router.Elector
	publishes *conn.Batcher // of its own, so that a mass of messages delays no command
	bindings  bindings
	scripts   scripts
}

// New returns a transport on a connection. Ordered queues are consumed by the instance
// that elector picks. [Transport.Close] must be called before the connection is closed.
func New(c *conn.Conn, inbox Prefetcher, elector router.Elector) *Transport {
	return &Transport{
		conn: c, inbox: inbox, elector: elector, publishes: c.NewBatcher(maxPublishes),
		scripts: scripts{
			publish: conn.NewScript(publishLua), delay: conn.NewScript(delayLua), due: conn.NewScript(dueLua),
			claim: conn.NewScript(claimLua), trim: conn.NewScript(trimLua),
			depth: conn.NewScript(depthLua),
		},
	}
}

// Close waits for publishes under way and refuses further ones.
func (t *Transport) Close() { t.publishes.Close() }

// streamKey is the stream of a topic or of a queue.
func (t *Transport) streamKey(name string) string    { return t.conn.Key(name) }
func (t *Transport) queuesKey(topic string) string   { return t.conn.Key("queues:" + topic) }
func (t *Transport) aliveKey(consumer string) string { return t.conn.Key("alive:" + consumer) }
