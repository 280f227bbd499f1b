package events

import "bytes"

// split takes apart a body as [Encode] writes it, without parsing JSON in general, which
// costs several times as much. ok is true only if the body has exactly that form, and its
// texts need no unescaping; every other body, however valid, is left to decodeAny. Of data
// only the brackets are checked; the rest is when it is decoded.
func split(body []byte) (id, typ, timestamp, data []byte, ok bool) {
	rest := body
	if id, rest, ok = member(rest, `{"id":"`); !ok {
		return
	}
	if typ, rest, ok = member(rest, `,"type":"`); !ok {
		return
	}
	if timestamp, rest, ok = member(rest, `,"timestamp":"`); !ok {
		return
	}
	const key = `,"data":`
	if len(rest) < len(key)+3 || string(rest[:len(key)]) != key {
		return nil, nil, nil, nil, false
	}
	data = rest[len(key) : len(rest)-1]
	// An object that ends where the body ends, less one brace, is all of data.
	ok = rest[len(rest)-1] == '}' && objectEnd(data) == len(data)
	return id, typ, timestamp, data, ok
}

// member reads a plain string after the given prefix.
func member(b []byte, prefix string) (value, rest []byte, ok bool) {
	if len(b) < len(prefix) || string(b[:len(prefix)]) != prefix {
		return nil, nil, false
	}
	b = b[len(prefix):]
	end := bytes.IndexByte(b, '"')
	if end < 0 {
		return nil, nil, false
	}
	for _, c := range b[:end] {
		if c == '\\' || c < 0x20 || c >= 0x80 {
			return nil, nil, false
		}
	}
	return b[:end], b[end+1:], true
}

// objectEnd returns the length of the JSON object that b begins with, or -1.
func objectEnd(b []byte) int {
	if len(b) == 0 || b[0] != '{' {
		return -1
	}
	depth := 0
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1
			}
		case '"':
			for i++; i < len(b) && b[i] != '"'; i++ {
				if b[i] == '\\' {
					i++
				}
			}
		}
	}
	return -1
}
