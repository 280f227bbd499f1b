package embedded

import (
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/server"
)

// lookAgain is how often a blocked XREAD checks for new entries.
const lookAgain = 2 * time.Millisecond

// logSuffix ends the names of the streams that are the log. They only grow, which
// is why they can be read while others write.
const logSuffix = "}:log"

// reads answers XREAD of the log. The server's own implementation scans every stream
// from its first entry, for each reader and on every write: with ten thousand events in
// the log an append takes 15 ms, and ever longer.
//
// It serves database 0 only, so that no other can be selected.
type reads struct{ redis *miniredis.Miniredis }

// hook is called with every command first, and returns true for those that it has
// answered.
func (r reads) hook(c *server.Peer, cmd string, args ...string) bool {
	switch cmd {
	case "SELECT":
		if len(args) == 1 && args[0] != "0" {
			c.WriteError("ERR the in-process Redis has only database 0")
			return true
		}
	case "XREAD":
		if q, ok := parseRead(args); ok {
			r.answer(c, q)
			return true
		}
	}
	return false
}

// query is an XREAD.
type query struct {
	count   int
	block   time.Duration // 0: do not wait
	streams []string
	after   []uint64 // the positions of the last entries that are known
}

// parseRead reads the arguments of an XREAD that only asks for the log, by
// positions. Anything else is left to the server.
func parseRead(args []string) (q query, ok bool) {
	for len(args) > 1 {
		switch strings.ToUpper(args[0]) {
		case "COUNT":
			q.count, _ = strconv.Atoi(args[1])
			args = args[2:]
		case "BLOCK":
			ms, err := strconv.Atoi(args[1])
			if err != nil || ms <= 0 {
				return q, false
			}
			q.block = time.Duration(ms) * time.Millisecond
			args = args[2:]
		case "STREAMS":
			half := len(args[1:]) / 2
			q.streams, args = args[1:1+half], args[1+half:]
			for i, id := range args {
				position, ok := position(id)
				if !ok || i >= half || !strings.HasSuffix(q.streams[i], logSuffix) {
					return q, false
				}
				q.after = append(q.after, position)
			}
			return q, half > 0 && len(q.after) == half
		default:
			return q, false
		}
	}
	return q, false
}

// position reads an id of the log: a number, or a number and "-0".
func position(id string) (uint64, bool) {
	p, err := strconv.ParseUint(strings.TrimSuffix(id, "-0"), 10, 64)
	return p, err == nil
}

// answer waits, if it may, until there is something, and writes the reply.
func (r reads) answer(c *server.Peer, q query) {
	for deadline := time.Now().Add(q.block); ; time.Sleep(lookAgain) {
		found, n := r.find(q)
		if n > 0 {
			write(c, q.streams, found, n)
			return
		}
		if c.Closed() || r.redis.Ctx.Err() != nil {
			return
		}
		if !time.Now().Before(deadline) {
			c.WriteLen(-1)
			return
		}
	}
}

// find returns the entries of each stream, and how many streams have any.
func (r reads) find(q query) (found [][]miniredis.StreamEntry, n int) {
	for i, name := range q.streams {
		entries, _ := r.redis.Stream(name) // A key that is not a stream has none.
		from := sort.Search(len(entries), func(j int) bool {
			p, _ := position(entries[j].ID)
			return p > q.after[i]
		})
		entries = entries[from:]
		if q.count > 0 && len(entries) > q.count {
			entries = entries[:q.count]
		}
		if len(entries) > 0 {
			n++
		}
		found = append(found, entries)
	}
	return found, n
}

func write(c *server.Peer, streams []string, found [][]miniredis.StreamEntry, n int) {
	c.Block(func(w *server.Writer) {
		w.WriteLen(n)
		for i, entries := range found {
			if len(entries) == 0 {
				continue
			}
			w.WriteLen(2)
			w.WriteBulk(streams[i])
			w.WriteLen(len(entries))
			for _, e := range entries {
				w.WriteLen(2)
				w.WriteBulk(e.ID)
				w.WriteStrings(e.Values)
			}
		}
	})
}
