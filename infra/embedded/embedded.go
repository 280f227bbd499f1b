package embedded

import (
	"cmp"
	"errors"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/pitwheel/pitwheel/events"
)

// DefaultAddr is where the in-process Redis listens by default.
const DefaultAddr = "127.0.0.1:6389"

// expireEvery is how late a key may expire.
const expireEvery = 250 * time.Millisecond

// Config is the configuration of a [Server]. The zero value is the default.
type Config struct {
	// Addr is host and port to listen on. Empty: [DefaultAddr]. Port 0: any free one.
	Addr string
}

// Server is a running in-process Redis.
type Server struct {
	redis *miniredis.Miniredis
	addr  string
	close sync.Once
	stop  chan struct{}
	done  chan struct{}
}

// Start serves an empty Redis until Close is called. An address that cannot be
// listened on is an error with the code CONFIG and the field Addr.
func Start(cfg Config) (*Server, error) {
	addr := cmp.Or(cfg.Addr, DefaultAddr)
	if _, _, err := net.SplitHostPort(addr); err != nil {
		return nil, events.Errorf(events.CodeConfig, "the address %q of the in-process Redis must be host:port, such as %s", addr, DefaultAddr).WithField("Addr")
	}
	m := miniredis.NewMiniRedis()
	if err := m.StartAddr(addr); err != nil {
		if errors.Is(err, syscall.EADDRINUSE) {
			return nil, events.Errorf(events.CodeConfig, "the address %s of the in-process Redis is in use", addr).WithField("Addr").
				WithHint("another dev may be running: stop it, or choose a free address, such as 127.0.0.1:6390")
		}
		return nil, events.Errorf(events.CodeConfig, "the in-process Redis cannot listen on %s: %w", addr, err).WithField("Addr")
	}
	m.Server().SetPreHook(reads{m}.hook)
	s := &Server{redis: m, addr: m.Addr(), stop: make(chan struct{}), done: make(chan struct{})}
	go s.tick()
	return s, nil
}

// Addr is the address that the server listens on.
func (s *Server) Addr() string { return s.addr }

// URL is what a client connects to.
func (s *Server) URL() string { return "redis://" + s.addr + "/0" }

// Close ends the server and forgets its data. Closing again does nothing.
func (s *Server) Close() error {
	s.close.Do(func() {
		close(s.stop)
		<-s.done
		s.redis.Close()
	})
	return nil
}

// tick advances the clock by which keys expire. The server could do so at each command,
// but would go through all keys each time.
func (s *Server) tick() {
	defer close(s.done)
	ticker := time.NewTicker(expireEvery)
	defer ticker.Stop()
	for last := time.Now(); ; {
		select {
		case <-s.stop:
			return
		case now := <-ticker.C:
			s.redis.FastForward(now.Sub(last))
			last = now
		}
	}
}
