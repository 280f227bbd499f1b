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
	//go:embed add.lua
	addLua string
	//go:embed takeplace.lua
	takePlaceLua string
	//go:embed join.lua
	joinLua string
)

type scripts struct{ begin, settle, standing, place, advance, attend, pass, round, add, takePlace, join *conn.Script }

var (
	_ router.Ledger      = (*Ledger)(nil)
	_ router.AuditLedger = (*Ledger)(nil)
	_ router.LedgerAdmin = (*Ledger)(nil)
)

// Ledger holds the ledgers of all handlers. It is safe for concurrent use.
type Ledger struct {
	conn       *conn.Conn
	partitions int
	logs       logs
	scripts    scripts
	lookups    *conn.Coalescer[*lookup]

	mu     sync.RWMutex
	books  map[account]*book
	closed chan struct{}
}

// Open returns the ledgers of a log with so many partitions. Epoch returns the epoch of the log
// that the store has; each log has ledgers of its own. [Ledger.Close] must be called before
// the connection is closed.
func Open(ctx context.Context, c *conn.Conn, partitions int, epoch func(context.Context) (string, error)) (*Ledger, error) {
	l := &Ledger{
		conn: c, partitions: partitions, logs: logs{epoch: epoch}, books: map[account]*book{}, closed: make(chan struct{}),
		scripts: scripts{
			begin: conn.NewScript(beginLua), settle: conn.NewScript(settleLua), standing: conn.NewScript(standingLua),
			place: conn.NewScript(placeLua), advance: conn.NewScript(advanceLua), attend: conn.NewScript(attendLua),
			pass: conn.NewScript(passLua), round: conn.NewScript(roundLua),
			add: conn.NewScript(addLua), takePlace: conn.NewScript(takePlaceLua), join: conn.NewScript(joinLua),
		},
	}
	if _, err := l.logs.current(ctx); err != nil {
		return nil, err
	}
	l.lookups = conn.NewCoalescer(maxLookups, l.lookUp)
	return l, nil
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

// book returns what this process knows of a ledger; nil once it is closed.
func (l *Ledger) book(of account) *book {
	l.mu.RLock()
	b, closed := l.books[of], l.books == nil
	l.mu.RUnlock()
	if b != nil || closed {
		return b
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if b = l.books[of]; b == nil && l.books != nil {
		b = newBook(l, of)
		l.books[of] = b
	}
	return b
}

// has reports whether an event may be the log's.
func (l *Ledger) has(at events.LogPosition) bool {
	return at.Partition >= 0 && at.Partition < l.partitions && at.Position > 0 && at.Position < maxPosition
}

// key is the hash of a ledger; its other keys start with it.
func (l *Ledger) key(of account) string {
	return l.conn.Key("ledger:{" + of.handler + "}:" + of.log)
}

func (l *Ledger) placesKey(of account) string    { return l.key(of) + ":places" }
func (l *Ledger) instancesKey(of account) string { return l.key(of) + ":instances" }
func (l *Ledger) reportsKey() string             { return l.conn.Key("ledger:reports") }

func (l *Ledger) chunkKey(of account, c events.LedgerChunk) string {
	return l.key(of) + ":" + strconv.Itoa(c.Partition) + ":" + strconv.FormatUint(c.Number, 10)
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
