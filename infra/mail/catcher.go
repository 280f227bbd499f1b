package mail

import (
	"cmp"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/pitwheel/pitwheel/events"
)

// DefaultCatcherAddr is where a [Catcher] listens by default.
const DefaultCatcherAddr = "127.0.0.1:1025"

// CatcherConfig of a [Catcher]. The zero value is right for development.
type CatcherConfig struct {
	// Addr is the host and port to listen on. Empty: [DefaultCatcherAddr]. Port 0: any
	// free one.
	Addr string
	// Keep is how many mails are kept, the newest. 0: 1000.
	Keep int
	// Logger may be nil. It gets one line for each caught mail.
	Logger *slog.Logger
	// OnCaught is called with each caught mail, while its sender waits. It may be nil,
	// and must be safe for concurrent use.
	OnCaught func(Caught)
}

// Caught is one caught mail.
type Caught struct {
	ID      string    `json:"id"` // the Message-ID, without its angle brackets
	From    string    `json:"from"`
	To      string    `json:"to"` // the envelope's recipients, separated by ", "
	Subject string    `json:"subject"`
	Text    string    `json:"text"`
	At      time.Time `json:"at"`
}

// Catcher is an SMTP server that accepts every mail and delivers none. It is
// safe for concurrent use.
type Catcher struct {
	keep   int
	logger *slog.Logger
	caught func(Caught)
	server *smtp.Server
	listen net.Listener
	served chan struct{}

	mu    sync.Mutex
	count int
	kept  []Caught // the newest, oldest first
}

// maxMailBytes bounds one mail. What is larger is refused with 552.
const maxMailBytes = 10 << 20

// StartCatcher listens and catches mail until Close. An address that cannot be listened
// on is an error with the code CONFIG and the field Addr.
func StartCatcher(cfg CatcherConfig) (*Catcher, error) {
	c := &Catcher{
		keep: cmp.Or(cfg.Keep, 1000), logger: cmp.Or(cfg.Logger, slog.New(slog.DiscardHandler)),
		caught: cfg.OnCaught, served: make(chan struct{}),
	}
	if c.caught == nil {
		c.caught = func(Caught) {}
	}
	if c.keep < 0 {
		return nil, events.Errorf(events.CodeConfig, "mail catcher: cannot keep %d mails", c.keep)
	}
	addr := cmp.Or(cfg.Addr, DefaultCatcherAddr)
	l, err := net.Listen("tcp", addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, events.Errorf(events.CodeConfig, "the mail catcher's address %s is in use", addr).WithField("Addr").
			WithHint("stop what listens there, perhaps another dev, or choose another address, such as 127.0.0.1:0")
	}
	if err != nil {
		return nil, events.Errorf(events.CodeConfig, "cannot catch mail at %s: %w", addr, err).WithField("Addr")
	}
	c.listen = l
	c.server = smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return &catching{catcher: c}, nil }))
	c.server.Domain = "localhost"
	c.server.MaxMessageBytes = maxMailBytes
	c.server.ReadTimeout = 5 * time.Minute
	c.server.WriteTimeout = time.Minute
	c.server.EnableSMTPUTF8 = true
	c.server.ErrorLog = slog.NewLogLogger(c.logger.Handler(), slog.LevelDebug)
	go func() {
		defer close(c.served)
		if err := c.server.Serve(l); err != nil && !errors.Is(err, net.ErrClosed) {
			c.logger.Error("the mail catcher has stopped", "error", err)
		}
	}()
	return c, nil
}

// Addr is the address it listens on, with the port that was found for :0.
func (c *Catcher) Addr() string { return c.listen.Addr().String() }

// Close stops listening and cuts all connections. What was caught stays readable.
func (c *Catcher) Close() error {
	err := c.server.Close()
	// The server closes only a listener that it has begun to serve.
	_ = c.listen.Close()
	<-c.served
	if errors.Is(err, smtp.ErrServerClosed) || errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// Count is how many mails were caught since the start.
func (c *Catcher) Count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.count
}

// Messages returns the kept mails, oldest first.
func (c *Catcher) Messages() []Caught {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.kept)
}

func (c *Catcher) add(m Caught) {
	c.mu.Lock()
	if len(c.kept) == c.keep {
		c.kept = slices.Delete(c.kept, 0, 1)
	}
	c.kept = append(c.kept, m)
	c.count++
	c.mu.Unlock()
	c.logger.LogAttrs(context.Background(), slog.LevelInfo, "mail caught", slog.String("to", m.To), slog.String("subject", m.Subject))
	c.caught(m)
}

// catching is one connection with a client.
type catching struct {
	catcher *Catcher
	from    string
	to      []string
}

func (s *catching) Mail(from string, _ *smtp.MailOptions) error {
	s.from = from
	return nil
}

func (s *catching) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.to = append(s.to, to)
	return nil
}

func (s *catching) Data(r io.Reader) error {
	raw, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	m := parse(raw)
	m.From, m.To, m.At = s.from, strings.Join(s.to, ", "), time.Now().UTC()
	s.catcher.add(m)
	return nil
}

func (s *catching) Reset() { s.from, s.to = "", nil }

func (s *catching) Logout() error { return nil }
