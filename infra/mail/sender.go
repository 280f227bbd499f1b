package mail

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	netmail "net/mail"
	"regexp"
	"time"

	gomail "github.com/wneessen/go-mail"

	"github.com/pitwheel/pitwheel/events"
)

// HeaderEventID is the header that carries the id given to [Sender.Send].
const HeaderEventID = "X-Pitwheel-Event-Id"

// DefaultFrom is the default sender of mails.
const DefaultFrom = "Pitwheel <pitwheel@localhost>"

// Config of a [Sender]. The zero value discards all mail.
type Config struct {
	// URL is smtp://user:password@host:port or smtps://. Empty: mail is
	// discarded. The port is 25 for smtp, where STARTTLS is used if the server
	// offers it, and 465 for smtps. Without TLS the password is only proved, by a
	// challenge, never sent.
	URL string
	// From is the sender's address. Empty: [DefaultFrom].
	From string
	// Sessions bounds the open SMTP sessions, and with them how many mails are
	// sent at once. 0: 8, which the usual mail server grants one client.
	Sessions int
	// Idle is how long an unused session stays open. 0: 30 s.
	Idle time.Duration
	// Timeout bounds connecting, and sending one mail, when the context does not.
	// 0: 30 s.
	Timeout time.Duration
	// TLS is used for smtps and STARTTLS. nil: the system's certificate authorities.
	TLS *tls.Config
	// Logger may be nil.
	Logger *slog.Logger
}

// Sender sends mail over a pool of SMTP sessions. It is safe for concurrent use.
type Sender struct {
	from   string
	pool   *pool // nil: discard
	broken error // returned by every Send, if it is set
	logger *slog.Logger
	// plainIDs matches ids that can stand in a Message-ID as they are.
	plainIDs *regexp.Regexp
}

// Open checks the settings and returns a Sender. It does not connect: a mail
// server that is not there yet fails the mails, which are then tried again, and
// not the start. An error has the code CONFIG and never holds the password.
func Open(c Config) (*Sender, error) {
	s := &Sender{
		from: cmp.Or(c.From, DefaultFrom), logger: cmp.Or(c.Logger, slog.New(slog.DiscardHandler)),
		plainIDs: regexp.MustCompile(`^[a-zA-Z0-9_-]{0,128}$`),
	}
	if _, err := netmail.ParseAddress(s.from); err != nil {
		return nil, events.Errorf(events.CodeConfig, "the sender %q is not a mail address: %w", s.from, err).WithField("From")
	}
	if c.Sessions < 0 || c.Idle < 0 || c.Timeout < 0 {
		return nil, events.Errorf(events.CodeConfig, "mail: sessions (%d), idle (%s) and timeout (%s) must not be negative", c.Sessions, c.Idle, c.Timeout)
	}
	if c.URL == "" {
		s.logger.Warn("mail is discarded", "why", "no mail server is configured")
		return s, nil
	}
	d, err := newDialer(c)
	if err != nil {
		return nil, err
	}
	s.pool = newPool(d, cmp.Or(c.Sessions, 8), cmp.Or(c.Idle, 30*time.Second))
	return s, nil
}

// Close ends the sessions, once the mails in progress are sent. Mails sent later fail.
func (s *Sender) Close() error {
	if s.pool != nil {
		s.pool.close()
	}
	return nil
}

// Send sends one mail of plain text. The id says which mail it is: the same id
// has the same Message-ID, <id@pitwheel>.
//
// Send returns when the server has accepted the mail, or when ctx ends. A
// permanent error of the server (5xx) is permanent ([events.IsPermanent]); after all
// others (4xx, no connection, ctx), another attempt may succeed. After such an error the
// server may have accepted the mail all the same.
func (s *Sender) Send(ctx context.Context, id, to, subject, text string) error {
	if s.broken != nil {
		return s.broken
	}
	m, err := s.message(id, to, subject, text)
	if err != nil {
		return events.Permanent(err)
	}
	if err := ctx.Err(); err != nil {
		return unsent(ctx, id)
	}
	if s.pool == nil {
		s.logger.Debug("mail discarded", "id", id)
		return nil
	}
	session, err := s.pool.take(ctx)
	if err != nil {
		return s.failed(ctx, id, err)
	}
	err = session.send(ctx, m)
	if session.reused && isStale(err) && ctx.Err() == nil {
		// The server closed the session while it was idle. It has seen nothing of
		// this mail, so that a fresh session can send it.
		session.abort()
		if session, err = s.pool.open(ctx); err != nil {
			return s.failed(ctx, id, err)
		}
		err = session.send(ctx, m)
	}
	if err == nil || isClean(err) {
		s.pool.give(session)
	} else {
		session.abort()
		s.pool.release()
	}
	return s.failed(ctx, id, err)
}

func (s *Sender) message(id, to, subject, text string) (*gomail.Msg, error) {
	if id == "" {
		return nil, events.Errorf(events.CodeInternal, "a mail has no id; give the event's, so that its repetition can be recognised")
	}
	m := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	if err := m.From(s.from); err != nil {
		return nil, events.Errorf(events.CodeConfig, "the sender %q is not a mail address: %w", s.from, err)
	}
	if err := m.To(to); err != nil {
		return nil, events.Errorf(events.CodeInvalid, "mail %s: the recipient is not a mail address: %w", id, err)
	}
	key := id
	if !s.plainIDs.MatchString(id) {
		key = events.NormalizeID(id)
	}
	m.SetMessageIDWithValue(key + "@pitwheel")
	m.SetGenHeader(HeaderEventID, key)
	// Asks auto-responders not to answer (RFC 3834, section 5).
	m.SetGenHeader("Auto-Submitted", "auto-generated")
	m.Subject(subject)
	m.SetDate()
	m.SetBodyString(gomail.TypeTextPlain, text)
	return m, nil
}

// failed classifies an error: the server's rejection, the end of ctx, or no connection. A
// nil error stays nil.
func (s *Sender) failed(ctx context.Context, id string, err error) error {
	var refused *gomail.SendError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &refused) && refused.ErrorCode() >= 500:
		return events.Permanent(events.Errorf(events.CodeInvalid, "mail %s: the server %s refuses it: %w", id, s.pool.dialer.addr, err))
	case ctx.Err() != nil:
		return unsent(ctx, id)
	case errors.Is(err, errClosed):
		return events.Errorf(events.CodeShuttingDown, "mail %s: %w", id, err).MayRetry()
	}
	return events.Errorf(events.CodeUnavailable, "mail %s: the server %s: %w", id, s.pool.dialer.addr, err).MayRetry()
}

func unsent(ctx context.Context, id string) error {
	return events.Errorf(events.CodeTimeout, "mail %s was not sent: %w", id, context.Cause(ctx)).MayRetry()
}

// isStale reports whether the server had hung up before the mail began.
func isStale(err error) bool {
	var s *gomail.SendError
	if !errors.As(err, &s) {
		return errors.Is(err, io.EOF)
	}
	return (s.Reason == gomail.ErrSMTPMailFrom || s.Reason == gomail.ErrConnCheck) &&
		(s.ErrorCode() == 0 || s.ErrorCode() == 421)
}

// isClean reports whether a session is ready for the next mail after an error: the
// server has answered it, and go-mail has reset the transaction or it is over.
func isClean(err error) bool {
	var s *gomail.SendError
	return errors.As(err, &s) && s.ErrorCode() != 0 && s.ErrorCode() != 421 && s.Reason != gomail.ErrSMTPData
}
