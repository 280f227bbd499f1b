package embedded

import (
	"cmp"
	"errors"
	"log/slog"
	"net"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/server"

	"github.com/pitwheel/pitwheel/events"
)

// DefaultAddr is where the in-process Redis listens by default.
const DefaultAddr = "127.0.0.1:6389"

const (
	// expireEvery is how late a key may expire.
	expireEvery = 250 * time.Millisecond
	// saveEvery is how often the data is written to [Config.Dir], unless a snapshot takes
	// more than one part in saveShare of that.
	saveEvery = time.Second
	saveShare = 20
)

// Config is the configuration of a [Server]. The zero value is the default.
type Config struct {
	// Addr is host and port to listen on. Empty: [DefaultAddr]. Port 0: any free one.
	Addr string
	// Dir is a directory that keeps the data; it is made if it does not exist. Empty:
	// Close forgets the data.
	Dir string
	// Logger logs snapshots that cannot be written to Dir. Nil: nothing is logged.
	Logger *slog.Logger
}

// Server is a running in-process Redis.
type Server struct {
	redis *miniredis.Miniredis
	addr  string
	log   *slog.Logger
	data  *dataDir // nil: nothing is kept
	fresh bool
	close sync.Once
	stop  chan struct{}
	done  sync.WaitGroup

	atomic        sync.Mutex // held while inScript is in use
	atomicCommand string     // the command that runs inScript; clients do not know it
	inScript      func(*server.Peer)
	expires       map[string]int64 // when keys expire, in the latest snapshot
}

// Start serves a Redis until Close is called: an empty one, or what Dir holds. An address
// that cannot be listened on is an error with the code CONFIG and the field Addr. A
// directory that another process uses, or whose data cannot be read, is an error with the
// code CONFIG and the field Dir; such data is never overwritten.
func Start(cfg Config) (_ *Server, err error) {
	addr := cmp.Or(cfg.Addr, DefaultAddr)
	if _, _, err := net.SplitHostPort(addr); err != nil {
		return nil, events.Errorf(events.CodeConfig, "the address %q of the in-process Redis must be host:port, such as %s", addr, DefaultAddr).WithField("Addr")
	}
	s := &Server{log: cfg.Logger, fresh: true, stop: make(chan struct{}), atomicCommand: strings.ToUpper(events.NewID())}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	var saved []byte
	if cfg.Dir != "" {
		if s.data, err = openDataDir(cfg.Dir); err != nil {
			return nil, err
		}
		defer func() {
			if err != nil {
				_ = s.data.close() // Nothing has been written.
			}
		}()
		if saved, err = s.data.read(); err != nil {
			return nil, err
		}
	}
	m := miniredis.NewMiniRedis()
	if err := m.StartAddr(addr); err != nil {
		if errors.Is(err, syscall.EADDRINUSE) {
			return nil, events.Errorf(events.CodeConfig, "the address %s of the in-process Redis is in use", addr).WithField("Addr").
				WithHint("another dev may be running: stop it, or choose a free address, such as 127.0.0.1:6390")
		}
		return nil, events.Errorf(events.CodeConfig, "the in-process Redis cannot listen on %s: %w", addr, err).WithField("Addr")
	}
	s.redis, s.addr = m, m.Addr()
	m.Server().SetPreHook(reads{m}.hook)
	if err := m.Server().Register(s.atomicCommand, s.runInScript); err != nil {
		m.Close()
		return nil, err
	}
	if saved != nil {
		s.fresh = false
		if err := s.atomically(func(do executor) error { return load(do, saved) }); err != nil {
			m.Close()
			return nil, s.data.unreadable(err)
		}
	}
	s.done.Go(s.tick)
	if s.data != nil {
		s.done.Go(s.saveEvery)
	}
	return s, nil
}

// Fresh reports whether the server started empty.
func (s *Server) Fresh() bool { return s.fresh }

// Addr is the address that the server listens on.
func (s *Server) Addr() string { return s.addr }

// URL is what a client connects to.
func (s *Server) URL() string { return "redis://" + s.addr + "/0" }

// Close writes the data to Dir, if there is one, and ends the server. An error means that
// the latest changes are not in Dir. Closing again does nothing.
func (s *Server) Close() (err error) {
	s.close.Do(func() {
		close(s.stop)
		s.done.Wait()
		// What a client has been told to be done is in the last snapshot: it is taken when
		// all of them are disconnected.
		s.redis.CtxCancel()
		s.redis.Server().Close()
		if s.data != nil {
			err = errors.Join(s.save(), s.data.close())
		}
		s.redis.Close()
	})
	return err
}

// saveEvery writes the data to Dir as long as the server runs. After a failure it is tried
// again.
func (s *Server) saveEvery() {
	timer := time.NewTimer(saveEvery)
	defer timer.Stop()
	failed := ""
	for {
		select {
		case <-s.stop:
			return
		case <-timer.C:
		}
		began, text := time.Now(), ""
		if err := s.save(); err != nil {
			text = err.Error()
		}
		if text != failed && text != "" {
			s.log.Error("the data cannot be saved; it is tried again", "error", text)
		}
		failed = text
		timer.Reset(max(saveEvery, saveShare*time.Since(began)))
	}
}

// save writes the data to Dir, unless it is there already.
func (s *Server) save() error {
	var data []byte
	err := s.atomically(func(do executor) (err error) {
		data, err = s.dump(do)
		return err
	})
	if err == nil {
		err = s.data.write(data)
	}
	if err != nil {
		return events.Errorf(events.CodeInternal, "the data of the in-process Redis is not saved to %s: %w", s.data.file(), err)
	}
	return nil
}

// tick advances the clock by which keys expire. The server could do so at each command,
// but would go through all keys each time.
func (s *Server) tick() {
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
