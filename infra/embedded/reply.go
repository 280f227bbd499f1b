package embedded

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
)

// reply is a reply of Redis: a text or number, or a list.
type reply struct {
	text string
	list []reply
}

// number returns the number that a reply is; 0 if it is none.
func (r reply) number() int64 {
	n, _ := strconv.ParseInt(r.text, 10, 64)
	return n
}

// texts returns the elements of a list of texts.
func (r reply) texts() []string {
	out := make([]string, len(r.list))
	for i, e := range r.list {
		out[i] = e.text
	}
	return out
}

// at returns an element of a list; empty if there are fewer.
func (r reply) at(i int) reply {
	if i < len(r.list) {
		return r.list[i]
	}
	return reply{}
}

// field returns the value that follows a name in a list.
func (r reply) field(name string) string {
	for i := 0; i+1 < len(r.list); i += 2 {
		if r.list[i].text == name {
			return r.list[i+1].text
		}
	}
	return ""
}

// parseReply reads one reply. One that is an error of Redis is returned as an error.
func parseReply(data []byte) (reply, error) {
	r := &replyReader{data: data}
	return r.next(), r.err
}

// replyReader reads replies, one after another, in version 2 of the Redis protocol.
type replyReader struct {
	data []byte // what is not read yet
	err  error  // the first one; all that is read after it is empty
}

func (r *replyReader) fail(format string, args ...any) reply {
	if r.err == nil {
		r.err = fmt.Errorf("not readable: "+format, args...)
	}
	r.data = nil
	return reply{}
}

// next reads a reply.
func (r *replyReader) next() reply {
	line, rest, found := bytes.Cut(r.data, []byte("\r\n"))
	if !found || len(line) == 0 {
		return r.fail("it ends early")
	}
	kind, text := line[0], string(line[1:])
	r.data = rest
	switch kind {
	case '+', ':':
		return reply{text: text}
	case '-':
		r.err = errors.Join(r.err, errors.New(text))
		return reply{}
	case '$', '*':
	default:
		return r.fail("a reply begins with %q", kind)
	}
	n, err := strconv.Atoi(text)
	switch {
	case err != nil || n < -1 || n > len(rest):
		return r.fail("a length is %q", text)
	case n == -1: // Nil.
		return reply{}
	case kind == '$' && n+2 > len(rest):
		return r.fail("it ends early")
	case kind == '$':
		r.data = rest[n+2:]
		return reply{text: string(rest[:n])}
	}
	list := make([]reply, n)
	for i := range list {
		list[i] = r.next()
	}
	return reply{list: list}
}

// writeText writes a text as a reply.
func writeText(out *bytes.Buffer, text string) {
	_, _ = fmt.Fprintf(out, "$%d\r\n%s\r\n", len(text), text)
}

// writeLen writes the beginning of a list, whose elements follow.
func writeLen(out *bytes.Buffer, n int) { _, _ = fmt.Fprintf(out, "*%d\r\n", n) }
