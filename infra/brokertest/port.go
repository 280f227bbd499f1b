package brokertest

import (
	"fmt"
	"math/rand/v2"
	"net"
	"testing"
)

// freeAddr returns an address on this machine where nothing listens. Its port is below those
// that the system gives to clients: while a server is down, one of these could get it, even to
// connect with itself, and keep the server from coming back. So is the port 10,000 above it,
// which a node of a Redis Cluster takes for itself.
func freeAddr(t testing.TB) string {
	t.Helper()
	var last error
	for range 1000 {
		addr := fmt.Sprint("127.0.0.1:", 15_000+rand.IntN(7_700)) //nolint:gosec // It need not be secret.
		l, err := net.Listen("tcp", addr)
		if err == nil {
			_ = l.Close()
			return addr
		}
		last = err
	}
	t.Fatalf("no free port for a server: %v", last)
	return ""
}
