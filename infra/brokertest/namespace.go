package brokertest

import (
	"crypto/rand"
	"encoding/hex"
	"testing"
)

// Namespace returns a name that no other test uses, so that tests can share one
// broker. It starts with "t" and holds only lower-case letters and digits.
func Namespace(t testing.TB) string {
	t.Helper()
	var b [6]byte
	_, _ = rand.Read(b[:]) // It never returns an error.
	return "t" + hex.EncodeToString(b[:])
}
