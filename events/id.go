package events

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"
)

// maxID bounds an id that is not a UUID, in bytes: AMQP carries no longer one.
const maxID = 255

// NewID returns a new id: a UUID of version 7, whose order is that of time (RFC 9562,
// section 5.7). It panics only if the machine has no entropy.
func NewID() string { return uuid.Must(uuid.NewV7()).String() }

// DeriveID returns a UUID derived from the given parts (version 5, RFC 9562 section 5.5):
// the same parts give the same id, on every machine, forever.
func DeriveID(parts ...string) string {
	// The namespace was chosen once, at random, for this project. Another one would change
	// every id derived so far.
	namespace := uuid.UUID{0x8d, 0x1f, 0x5b, 0x0e, 0x6a, 0x3c, 0x4d, 0x52, 0x9e, 0x77, 0x21, 0xc4, 0xb3, 0x90, 0xfa, 0x16}
	n := 0
	for _, p := range parts {
		n += len(p) + 1
	}
	name := make([]byte, 0, n)
	for _, p := range parts {
		name = append(name, p...)
		name = append(name, 0) // Separated, so that ("ab","c") differs from ("a","bc").
	}
	return uuid.NewSHA1(namespace, name).String()
}

// NormalizeID returns id in the canonical form of a UUID. A text that is not a UUID is
// hashed into one, so that callers can use keys of their own as ids.
func NormalizeID(id string) string {
	// Parse alone would take 38 characters for a UUID in braces, whatever they are.
	if uuid.Validate(id) == nil {
		return uuid.MustParse(id).String()
	}
	return DeriveID("id", id)
}

// MessageID returns the id of a message as its handlers see it: a UUID in canonical form, and
// any other id as its producer has written it. One that has more than 255 bytes, or characters
// that cannot be printed, is hashed into a UUID as [NormalizeID] does.
func MessageID(id string) string {
	if IsID(id) {
		return id
	}
	if uuid.Validate(id) != nil && len(id) <= maxID && utf8.ValidString(id) && !strings.ContainsFunc(id, unprintable) {
		return id
	}
	return NormalizeID(id)
}

func unprintable(r rune) bool { return !unicode.IsPrint(r) }

// IsID reports whether id is a UUID in canonical form: 36 characters, lower case.
func IsID(id string) bool {
	if len(id) != 36 || id[8] != '-' || id[13] != '-' || id[18] != '-' || id[23] != '-' {
		return false
	}
	dashes := 0
	for i := range len(id) {
		switch c := id[i]; {
		case c-'0' < 10, c-'a' < 6: // What is below wraps around and is large.
		case c == '-':
			dashes++
		default:
			return false
		}
	}
	return dashes == 4
}
