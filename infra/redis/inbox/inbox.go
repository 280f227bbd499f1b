package inbox

import (
	"context"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/redis/conn"
)

const (
	// DefaultTTL is how long messages are remembered where nothing else is set.
	DefaultTTL = 24 * time.Hour
	// clockSkew is how far the clocks of two instances may be apart.
	clockSkew = time.Minute
	// maxBatch bounds the lookups in one pipeline, and the ids in one write.
	maxBatch = 256
)

// Inbox remembers which handler has handled which message. It is safe for concurrent use.
type Inbox struct {
	conn     *conn.Conn
	ttl      time.Duration
	lookups  *conn.Coalescer[*lookup]
	buffer   *buffer
	prefetch prefetched
}

// New returns the inbox on a connection. Messages are remembered for ttl at least, which
// must be a second or more. [Inbox.Close] must be called before the connection is closed.
func New(c *conn.Conn, ttl time.Duration) *Inbox {
	b := &Inbox{conn: c, ttl: ttl}
	b.lookups = conn.NewCoalescer(maxBatch, b.lookUp)
	b.buffer = newBuffer(b.write)
	return b
}

// Close writes what is buffered, for a second at most, and refuses further lookups.
func (b *Inbox) Close() {
	b.buffer.close()
	b.lookups.Close()
}

// handled names a message that a handler has handled: an entry of the inbox.
type handled struct {
	handler string
	id      uuid.UUID // of the message
}

func entryOf(handler, id string) handled {
	if !events.IsID(id) {
		id = events.NormalizeID(id)
	}
	return handled{handler, uuid.MustParse(id)} // An id in normal form is a UUID.
}

// key is the set of a stretch of time; those of one handler are in one slot.
func (b *Inbox) key(handler string, stretch int64) string {
	return b.conn.Key("inbox:{" + handler + "}:" + strconv.FormatInt(stretch, 10))
}

// stretch numbers the stretches of time.
func (b *Inbox) stretch(t time.Time) int64 { return t.UnixMilli() / b.ttl.Milliseconds() }

// Seen reports whether the handler has handled the message before, as far back as the TTL
// at least. Calls at the same time share a round trip.
func (b *Inbox) Seen(ctx context.Context, handler, id string) (bool, error) {
	e := entryOf(handler, id)
	// A record leaves the buffer once it is written, and a prefetched lookup of it is
	// dropped before that. The buffer comes first: what is prefetched when the buffer does
	// not have the record any more is newer. And the buffer comes once more afterwards, for
	// a record that was added between the two.
	if b.buffer.has(e) {
		return true, nil
	}
	seen, known := b.prefetch.take(e)
	if b.buffer.has(e) {
		return true, nil
	}
	if known {
		return seen, nil
	}
	l := &lookup{entry: e, done: make(chan struct{})}
	if err := b.lookups.Add(ctx, l); err != nil {
		return false, err
	}
	select {
	case <-l.done:
		return l.seen, b.conn.Explain(l.err)
	case <-ctx.Done():
		return false, ctx.Err()
	}
}

// Record remembers that the handler has handled the message. It is to be called after the
// handler has succeeded, so that a message whose handler failed is not taken for a
// duplicate.
//
// It does not wait until Redis has confirmed that, which costs no safety: between a
// handler's effect and the record of it there is a gap in any case, and after a crash in
// it the message is handled again. In this process the message counts as seen at once;
// Close waits until all is written. Only if very many records wait, because Redis is slow
// or unreachable, Record waits for its own.
func (b *Inbox) Record(ctx context.Context, handler, id string) error {
	e := entryOf(handler, id)
	if b.buffer.add(e) {
		return nil
	}
	return b.write(ctx, handler, []uuid.UUID{e.id})
}

// write records messages as handled, and drops prefetched lookups of them, which may have
// been carried out before they were written.
func (b *Inbox) write(ctx context.Context, handler string, ids []uuid.UUID) error {
	now := b.stretch(time.Now())
	key := b.key(handler, now)
	cmds := []*redis.Cmd{
		redis.NewCmd(ctx, withMembers("sadd", key, ids)...),
		// Old sets are unlinked, which frees them in the background. The expiry is for a
		// handler that does not run any more.
		redis.NewCmd(ctx, "pexpire", key, 4*b.ttl.Milliseconds()),
		redis.NewCmd(ctx, "unlink", b.key(handler, now-2)),
	}
	err := b.conn.Send(ctx, cmds...)
	b.prefetch.drop(handler, ids)
	if err != nil {
		return err
	}
	for _, cmd := range cmds {
		if err := cmd.Err(); err != nil {
			return b.conn.Explain(err)
		}
	}
	return nil
}

// lookup is the question whether an entry is in the inbox.
type lookup struct {
	entry handled
	seen  bool
	err   error
	done  chan struct{}
}

// lookUp carries out lookups, all in one pipeline.
func (b *Inbox) lookUp(lookups []*lookup) {
	byHandler := make(map[string][]*lookup, 1)
	for _, l := range lookups {
		byHandler[l.entry.handler] = append(byHandler[l.entry.handler], l)
	}
	var all []*redis.Cmd
	asked := make(map[string][]*redis.Cmd, len(byHandler))
	for handler, group := range byHandler {
		ids := make([]uuid.UUID, len(group))
		for i, l := range group {
			ids[i] = l.entry.id
		}
		asked[handler] = b.commands(context.Background(), handler, ids)
		all = append(all, asked[handler]...)
	}
	b.conn.Execute(all)
	for handler, group := range byHandler {
		seen, err := results(asked[handler], len(group))
		for i, l := range group {
			if l.err = err; err == nil {
				l.seen = seen[i]
			}
			close(l.done)
		}
	}
}

// commands returns the commands that look up messages: one for each set that may hold
// them, of which there are two, and around the beginning of a stretch three.
func (b *Inbox) commands(ctx context.Context, handler string, ids []uuid.UUID) []*redis.Cmd {
	var cmds []*redis.Cmd
	now := time.Now()
	for n := b.stretch(now.Add(-b.ttl)); n <= b.stretch(now.Add(clockSkew)); n++ {
		cmds = append(cmds, redis.NewCmd(ctx, withMembers("smismember", b.key(handler, n), ids)...))
	}
	return cmds
}

// withMembers is a command about members of a set: the 16 bytes of each id.
func withMembers(name, key string, ids []uuid.UUID) []any {
	args := make([]any, 2, 2+len(ids))
	args[0], args[1] = name, key
	for i := range ids {
		args = append(args, ids[i][:])
	}
	return args
}

// results reads the replies to lookups of n messages.
func results(cmds []*redis.Cmd, n int) ([]bool, error) {
	seen := make([]bool, n)
	for _, cmd := range cmds {
		is, err := cmd.Int64Slice()
		if err != nil {
			return nil, err
		}
		if len(is) != n {
			return nil, events.Errorf(events.CodeInternal, "SMISMEMBER replied with %d of %d results", len(is), n)
		}
		for i := range is {
			seen[i] = seen[i] || is[i] == 1
		}
	}
	return seen, nil
}
