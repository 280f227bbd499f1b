package ledger

import (
	"context"
	_ "embed" // scripts
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/redis/conn"
	"github.com/pitwheel/pitwheel/router"
)

const (
	// maxLookups bounds the lookups in one pipeline.
	maxLookups = 256
	// maxChunks bounds the chunks in one script, which keeps Redis busy.
	maxChunks = 64
	// maxPosition is the last position that a script can calculate with.
	maxPosition = 1 << 53
)

var (
	//go:embed begin.lua
	beginLua string
	//go:embed settle.lua
	settleLua string
	//go:embed standing.lua
	standingLua string
	//go:embed place.lua
	placeLua string
	//go:embed advance.lua
	advanceLua string
	//go:embed attend.lua
	attendLua string
	//go:embed pass.lua
	passLua string
	//go:embed round.lua
	roundLua string
)

type scripts struct{ begin, settle, standing, place, advance, attend, pass, round *conn.Script }

var (
	_ router.Ledger      = (*Ledger)(nil)
	_ router.AuditLedger = (*Ledger)(nil)
)

// Ledger holds the ledgers of all handlers. It is safe for concurrent use.
type Ledger struct {
	conn       *conn.Conn
	partitions int
	owns       func(epoch string) bool
	scripts    scripts
	lookups    *conn.Coalescer[*lookup]

	mu     sync.RWMutex
	books  map[string]*book
	closed chan struct{}
}

// New returns the ledgers of a log with so many partitions. Owns reports whether an epoch is
// one of this log, so that [Ledger.Prefetch] skips events of others; nil: every one is.
// [Ledger.Close] must be called before the connection is closed.
func New(c *conn.Conn, partitions int, owns func(epoch string) bool) *Ledger {
	l := &Ledger{
		conn: c, partitions: partitions, owns: owns, books: map[string]*book{}, closed: make(chan struct{}),
		scripts: scripts{
			begin: conn.NewScript(beginLua), settle: conn.NewScript(settleLua), standing: conn.NewScript(standingLua),
			place: conn.NewScript(placeLua), advance: conn.NewScript(advanceLua), attend: conn.NewScript(attendLua),
			pass: conn.NewScript(passLua), round: conn.NewScript(roundLua),
		},
	}
	if l.owns == nil {
		l.owns = func(string) bool { return true }
	}
	l.lookups = conn.NewCoalescer(maxLookups, l.lookUp)
	return l
}

// Close writes what is gathered, for a second at most, and refuses further lookups. What is
// settled afterwards is not written.
func (l *Ledger) Close() {
	l.mu.Lock()
	books := l.books
	l.books = nil
	l.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	var all sync.WaitGroup
	for _, b := range books {
		all.Go(func() { _ = b.flusher.Close(ctx) }) // An event whose bit is lost is handled again.
	}
	all.Wait()
	close(l.closed)
	l.lookups.Close()
}

// book returns what this process knows of a handler's ledger; nil once it is closed.
func (l *Ledger) book(handler string) *book {
	l.mu.RLock()
	b, closed := l.books[handler], l.books == nil
	l.mu.RUnlock()
	if b != nil || closed {
		return b
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if b = l.books[handler]; b == nil && l.books != nil {
		b = newBook(l, handler)
		l.books[handler] = b
	}
	return b
}

// has reports whether an event may be the log's.
func (l *Ledger) has(at events.LogPosition) bool {
	return at.Partition >= 0 && at.Partition < l.partitions && at.Position > 0 && at.Position < maxPosition
}

// key is the hash of a handler; its other keys start with it.
func (l *Ledger) key(handler string) string { return l.conn.Key("ledger:{" + handler + "}") }

func (l *Ledger) placesKey(handler string) string    { return l.key(handler) + ":places" }
func (l *Ledger) instancesKey(handler string) string { return l.key(handler) + ":instances" }
func (l *Ledger) reportsKey() string                 { return l.conn.Key("ledger:reports") }

func (l *Ledger) chunkKey(handler string, c events.LedgerChunk) string {
	return l.key(handler) + ":" + strconv.Itoa(c.Partition) + ":" + strconv.FormatUint(c.Number, 10)
}

// digits is the width of a position in the text of a cursor.
const digits = 16

// cursorText returns the text of a cursor.
func (l *Ledger) cursorText(c events.Cursor) string {
	text := make([]byte, 0, digits*l.partitions)
	for p := range l.partitions {
		text = fmt.Appendf(text, "%0*d", digits, c.At(p))
	}
	return string(text)
}

// positionIn reads a partition's position in the text of a cursor.
func positionIn(cursor string, partition int) (uint64, error) {
	from := digits * partition
	if len(cursor) < from+digits {
		return 0, events.Errorf(events.CodeUndecodable, "the cursor %q of a ledger has no partition %d", cursor, partition)
	}
	position, err := strconv.ParseUint(cursor[from:from+digits], 10, 64)
	if err != nil {
		return 0, events.Errorf(events.CodeUndecodable, "the cursor %q of a ledger has no position for partition %d", cursor, partition)
	}
	return position, nil
}

// cursor reads the text of a cursor; an empty one is the beginning of the log.
func (l *Ledger) cursor(text string) (events.Cursor, error) {
	c := make(events.Cursor, l.partitions)
	if text == "" {
		return c, nil
	}
	for p := range c {
		var err error
		if c[p], err = positionIn(text, p); err != nil {
			return nil, err
		}
	}
	return c, nil
}
