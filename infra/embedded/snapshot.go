package embedded

import (
	"bufio"
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/alicebob/miniredis/v2/server"
)

// minTTL is how long a key must have left to live to be part of a snapshot. Shorter ones
// are leases and heartbeats of processes that will have ended when it is loaded.
const minTTL = 10 * time.Second

// executor executes a command and returns its reply in the Redis protocol, valid until the
// next call.
type executor func(args ...string) []byte

// atomically runs f while no other command runs: f is called by a script, which has the
// server for itself.
func (s *Server) atomically(f func(executor) error) (err error) {
	s.atomic.Lock()
	defer s.atomic.Unlock()
	s.inScript = func(script *server.Peer) {
		var reply bytes.Buffer
		peer := server.NewPeer(bufio.NewWriter(&reply))
		peer.Ctx = script.Ctx // Within the script, commands do not lock the server again.
		err = f(func(args ...string) []byte {
			reply.Reset()
			s.redis.Server().Dispatch(peer, args)
			peer.Flush()
			return reply.Bytes()
		})
	}
	var reply bytes.Buffer
	peer := server.NewPeer(bufio.NewWriter(&reply))
	s.redis.Server().Dispatch(peer, []string{"EVAL", "return redis.call('" + s.atomicCommand + "')", "0"})
	peer.Flush()
	if s.inScript != nil {
		s.inScript = nil
		return fmt.Errorf("the in-process Redis ran no script: %s", reply.String())
	}
	return err
}

// runInScript is the handler of atomicCommand.
func (s *Server) runInScript(c *server.Peer, _ string, _ []string) {
	f := s.inScript
	s.inScript = nil
	f(c)
	c.WriteOK()
}

// dump returns everything that Redis holds: for each key its name, its type, when it
// expires in milliseconds since 1970 (0: never) and its value, as far as possible as Redis
// itself returns it. It is the same again if nothing has changed.
func (s *Server) dump(do executor) ([]byte, error) {
	keys, err := parseReply(do("KEYS", "*"))
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	expires := map[string]int64{}
	for _, key := range keys.texts() {
		ttl, err := parseReply(do("PTTL", key))
		if err != nil {
			return nil, err
		}
		if ms := ttl.number(); ms >= 0 {
			if ms < minTTL.Milliseconds() {
				continue
			}
			expires[key] = s.expiry(key, time.Now().UnixMilli()+ms)
		}
		kind, err := parseReply(do("TYPE", key))
		if err != nil {
			return nil, err
		}
		writeText(&out, key)
		writeText(&out, kind.text)
		writeText(&out, strconv.FormatInt(expires[key], 10))
		if err := dumpValue(&out, do, kind.text, key); err != nil {
			return nil, fmt.Errorf("the key %q: %w", key, err)
		}
	}
	s.expires = expires
	return out.Bytes(), nil
}

// expiry returns when a key expires: as in the snapshot before, if it is about the same,
// since the server only knows how long a key has left, to expireEvery.
func (s *Server) expiry(key string, at int64) int64 {
	if before, ok := s.expires[key]; ok && max(before-at, at-before) < 4*expireEvery.Milliseconds() {
		return before
	}
	return at
}

// dumpValue writes a value.
func dumpValue(out *bytes.Buffer, do executor, kind, key string) error {
	switch kind {
	case "string":
		out.Write(do("GET", key))
	case "list":
		out.Write(do("LRANGE", key, "0", "-1"))
	case "hash":
		out.Write(do("HGETALL", key))
	case "set":
		out.Write(do("SMEMBERS", key))
	case "zset":
		out.Write(do("ZRANGE", key, "0", "-1", "WITHSCORES"))
	case "stream":
		out.Write(do("XRANGE", key, "-", "+"))
		return dumpGroups(out, do, key)
	default:
		return fmt.Errorf("a value of the type %s cannot be saved", kind)
	}
	return nil
}

// dumpGroups writes the consumer groups of a stream: for each its name, the last entry
// delivered, and id, consumer and deliveries of each pending entry.
func dumpGroups(out *bytes.Buffer, do executor, key string) error {
	groups, err := parseReply(do("XINFO", "GROUPS", key))
	if err != nil {
		return err
	}
	slices.SortFunc(groups.list, func(a, b reply) int { return strings.Compare(a.field("name"), b.field("name")) })
	writeLen(out, len(groups.list))
	for _, g := range groups.list {
		pending, err := parseReply(do("XPENDING", key, g.field("name"), "-", "+", g.field("pending")))
		if err != nil {
			return err
		}
		writeLen(out, 3)
		writeText(out, g.field("name"))
		writeText(out, g.field("last-delivered-id"))
		writeLen(out, 3*len(pending.list))
		for _, p := range pending.list { // Id, consumer, idle time, deliveries.
			writeText(out, p.at(0).text)
			writeText(out, p.at(1).text)
			writeText(out, p.at(3).text)
		}
	}
	return nil
}

// load replaces everything that Redis holds by what [Server.dump] returned. Keys that have
// expired since are left out.
func load(do executor, data []byte) error {
	r := &replyReader{data: data}
	l := &loader{do: do}
	l.run("FLUSHALL")
	for len(r.data) > 0 {
		key, kind, expires := r.next().text, r.next().text, r.next().number()
		write := l.run
		left := expires - time.Now().UnixMilli()
		if expires > 0 && left <= 0 {
			write = func(...string) {} // The value must be read all the same.
		}
		loadValue(r, write, kind, key)
		if expires > 0 {
			write("PEXPIRE", key, strconv.FormatInt(left, 10))
		}
		if r.err != nil {
			return r.err
		}
		if l.err != nil {
			return fmt.Errorf("the key %q: %w", key, l.err)
		}
	}
	return nil
}

// loader executes commands until one fails.
type loader struct {
	do  executor
	err error
}

func (l *loader) run(args ...string) {
	if l.err == nil {
		_, l.err = parseReply(l.do(args...))
	}
}

// loadValue reads a value and writes it to Redis.
func loadValue(r *replyReader, write func(...string), kind, key string) {
	value := r.next()
	switch kind {
	case "string":
		write("SET", key, value.text)
	case "list":
		write(append([]string{"RPUSH", key}, value.texts()...)...)
	case "hash":
		write(append([]string{"HSET", key}, value.texts()...)...)
	case "set":
		write(append([]string{"SADD", key}, value.texts()...)...)
	case "zset":
		args := []string{"ZADD", key}
		for texts := value.texts(); len(texts) > 1; texts = texts[2:] {
			args = append(args, texts[1], texts[0])
		}
		write(args...)
	case "stream":
		for _, e := range value.list {
			write(append([]string{"XADD", key, e.at(0).text}, e.at(1).texts()...)...)
		}
		for _, g := range r.next().list {
			name := g.at(0).text
			write("XGROUP", "CREATE", key, name, g.at(1).text, "MKSTREAM")
			for p := g.at(2).texts(); len(p) >= 3; p = p[3:] {
				write("XCLAIM", key, name, p[1], "0", p[0], "RETRYCOUNT", p[2], "FORCE", "JUSTID")
			}
		}
	default:
		r.fail("a value of the type %q", kind)
	}
}
