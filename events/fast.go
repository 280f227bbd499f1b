package events

import (
	"bytes"
	"encoding/json"
)

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

// The following walk over JSON without decoding it. Each returns what follows, or nil where
// that is not JSON.

func skipSpace(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t' || b[0] == '\n' || b[0] == '\r') {
		b = b[1:]
	}
	return b
}

// skipValue skips the value that b begins with.
func skipValue(b []byte) []byte {
	if len(b) == 0 {
		return nil
	}
	switch b[0] {
	case '{', '[':
		return skipNested(b)
	case '"':
		return skipString(b)
	}
	for i, c := range b {
		if c == ',' || c == '}' || c == ']' || c <= ' ' {
			return b[i:]
		}
	}
	return b[len(b):]
}

// skipNested skips an object or an array.
func skipNested(b []byte) []byte {
	depth := 0
	for len(b) > 0 {
		switch b[0] {
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return b[1:]
			}
		case '"':
			if b = skipString(b); b == nil {
				return nil
			}
			continue
		}
		b = b[1:]
	}
	return nil
}

func skipString(b []byte) []byte {
	for i := 1; i < len(b); i++ {
		switch b[i] {
		case '\\':
			i++
		case '"':
			return b[i+1:]
		}
	}
	return nil
}

// memberName reads the name of a member and its colon.
func memberName(b []byte) (name, rest []byte) {
	if len(b) == 0 || b[0] != '"' {
		return nil, nil
	}
	if rest = skipString(b); rest == nil {
		return nil, nil
	}
	quoted := b[:len(b)-len(rest)]
	name = quoted[1 : len(quoted)-1]
	if bytes.IndexByte(name, '\\') >= 0 {
		var plain string
		if json.Unmarshal(quoted, &plain) != nil {
			return nil, nil
		}
		name = []byte(plain)
	}
	if rest = skipSpace(rest); len(rest) == 0 || rest[0] != ':' {
		return nil, nil
	}
	return name, rest[1:]
}

// separated reads what follows a value in an object or an array: a comma, and more is true, or
// the given bracket.
func separated(b []byte, end byte) (rest []byte, more bool) {
	b = skipSpace(b)
	switch {
	case len(b) == 0:
	case b[0] == ',':
		return b[1:], true
	case b[0] == end:
		return b[1:], false
	}
	return nil, false
}
