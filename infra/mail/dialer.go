package mail

import (
	"cmp"
	"context"
	"crypto/tls"
	"net"
	"net/url"
	"strconv"
	"time"

	gomail "github.com/wneessen/go-mail"
	gosmtp "github.com/wneessen/go-mail/smtp"

	"github.com/pitwheel/pitwheel/events"
)

// dialer opens SMTP sessions with one server.
type dialer struct {
	addr     string // host:port, for messages
	host     string
	port     int
	secure   bool // TLS from the first byte
	user     string
	password string
	tls      *tls.Config
	timeout  time.Duration
}

func newDialer(c Config) (*dialer, error) {
	wrong := func(format string, args ...any) error {
		return events.Errorf(events.CodeConfig, "the URL of the mail server "+format, args...).WithField("URL").
			WithHint("it has the form smtp://user:password@host:port or smtps://…, with special characters of the password percent-encoded")
	}
	u, err := url.Parse(c.URL)
	switch {
	case err != nil:
		return nil, wrong("is not a URL") // The error of net/url can hold a part of the password.
	case u.Scheme != "smtp" && u.Scheme != "smtps":
		return nil, wrong("has the scheme %q", u.Scheme)
	case u.Hostname() == "":
		return nil, wrong("names no host")
	case u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "":
		return nil, wrong("has something after the host and port")
	}
	d := &dialer{host: u.Hostname(), port: 25, secure: u.Scheme == "smtps", user: u.User.Username(), timeout: cmp.Or(c.Timeout, 30*time.Second)}
	d.password, _ = u.User.Password()
	if d.secure {
		d.port = 465
	}
	if p := u.Port(); p != "" {
		if d.port, err = strconv.Atoi(p); err != nil || d.port < 1 || d.port > 65535 {
			return nil, wrong("has the port %s; a port is 1 to 65535", p)
		}
	}
	d.addr = net.JoinHostPort(d.host, strconv.Itoa(d.port))
	d.tls = cmp.Or(c.TLS.Clone(), &tls.Config{MinVersion: tls.VersionTLS12})
	d.tls.ServerName = cmp.Or(d.tls.ServerName, d.host)
	if _, err := d.client(nil); err != nil {
		return nil, wrong("cannot be used: %w", err)
	}
	return d, nil
}

// client returns a go-mail client for one session. It calls opened with the connection.
func (d *dialer) client(opened func(net.Conn)) (*gomail.Client, error) {
	options := []gomail.Option{
		gomail.WithPort(d.port),
		gomail.WithTimeout(d.timeout),
		gomail.WithTLSConfig(d.tls),
		gomail.WithTLSPolicy(gomail.TLSOpportunistic),
		// A NOOP before and a RSET after each mail would be two more round trips: a
		// stale session shows at MAIL, and the end of DATA resets.
		gomail.WithoutNoop(),
		gomail.WithoutRset(),
		gomail.WithDialContextFunc(func(ctx context.Context, network, addr string) (conn net.Conn, err error) {
			if d.secure {
				conn, err = (&tls.Dialer{Config: d.tls}).DialContext(ctx, network, addr)
			} else {
				conn, err = (&net.Dialer{}).DialContext(ctx, network, addr)
			}
			if err == nil {
				opened(conn)
			}
			return conn, err
		}),
	}
	if d.user != "" {
		options = append(options, gomail.WithSMTPAuth(gomail.SMTPAuthAutoDiscover), gomail.WithUsername(d.user), gomail.WithPassword(d.password))
	}
	return gomail.NewClient(d.host, options...)
}

// session is one SMTP session. One goroutine uses it at a time.
type session struct {
	client *gomail.Client
	smtp   *gosmtp.Client
	conn   net.Conn
	reused bool      // it has been idle in the pool
	since  time.Time // idle since
}

// open connects, greets and authenticates.
func (d *dialer) open(ctx context.Context) (*session, error) {
	s := &session{}
	stop := func() bool { return true }
	client, err := d.client(func(conn net.Conn) {
		s.conn = conn
		// go-mail bounds what follows the connect by its timeout, not by ctx.
		stop = context.AfterFunc(ctx, func() { _ = conn.Close() })
	})
	if err != nil {
		return nil, err
	}
	s.client = client
	s.smtp, err = client.DialToSMTPClientWithContext(ctx)
	if !stop() && err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		s.abort() // go-mail leaves the connection open when the greeting fails.
		return nil, err
	}
	return s, nil
}

// send sends one mail. When ctx ends first, the connection is cut.
func (s *session) send(ctx context.Context, m *gomail.Msg) error {
	stop := context.AfterFunc(ctx, func() { _ = s.conn.Close() })
	err := s.client.SendWithSMTPClient(s.smtp, m)
	if !stop() && err != nil {
		err = context.Cause(ctx)
	}
	return err
}

// quit ends the session with QUIT, within a second.
func (s *session) quit() {
	_ = s.conn.SetDeadline(time.Now().Add(time.Second))
	_ = s.client.CloseWithSMTPClient(s.smtp)
	s.abort()
}

// abort closes the connection as it is.
func (s *session) abort() {
	if s.conn != nil {
		_ = s.conn.Close()
	}
}
