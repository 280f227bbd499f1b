package mail_test

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// server is an SMTP server with moods, to test the sender against.
type server struct {
	mailCode, rcptCode, dataCode int           // answers; 0: all is well
	mute                         bool          // accepts connections and says nothing
	hang                         chan struct{} // DATA is not answered until it is closed
	tls, implicit                bool
	password                     string // asked for, if there is one

	addr            string
	trust           *tls.Config
	calmed          atomic.Bool
	mails, sessions atomic.Int64
	left            chan struct{} // one token for each session that has ended
}

func (s *server) calm() { s.calmed.Store(true) }

func (s *server) answer(code int) error {
	if code == 0 || s.calmed.Load() {
		return nil
	}
	return &smtp.SMTPError{Code: code, Message: "no"}
}

func startServer(t *testing.T, s *server) *server {
	t.Helper()
	s.left = make(chan struct{}, 1000)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.addr = l.Addr().String()
	if s.mute {
		serveMute(t, l)
		return s
	}
	srv := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) {
		s.sessions.Add(1)
		if s.password != "" {
			return &loginVisit{visit{s}, false}, nil
		}
		return &visit{s}, nil
	}))
	srv.ErrorLog = quiet{}
	srv.AllowInsecureAuth = true
	if s.tls {
		// httptest has a certificate for 127.0.0.1 at hand.
		h := httptest.NewUnstartedServer(nil)
		h.StartTLS()
		srv.TLSConfig = &tls.Config{Certificates: h.TLS.Certificates, MinVersion: tls.VersionTLS12}
		roots := x509.NewCertPool()
		roots.AddCert(h.Certificate())
		s.trust = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
		h.Close()
		if s.implicit {
			l = tls.NewListener(l, srv.TLSConfig)
		}
	}
	var wg sync.WaitGroup
	wg.Go(func() { _ = srv.Serve(l) })
	t.Cleanup(func() {
		if s.hang != nil {
			close(s.hang)
		}
		_ = srv.Close()
		_ = l.Close()
		wg.Wait()
	})
	return s
}

func serveMute(t *testing.T, l net.Listener) {
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				_, _ = io.Copy(io.Discard, c) // Until the client hangs up.
				_ = c.Close()
			})
		}
	})
	t.Cleanup(func() { _ = l.Close(); wg.Wait() })
}

type visit struct{ *server }

func (v *visit) Mail(string, *smtp.MailOptions) error { return v.answer(v.mailCode) }
func (v *visit) Rcpt(string, *smtp.RcptOptions) error { return v.answer(v.rcptCode) }
func (v *visit) Reset()                               {}

func (v *visit) Logout() error {
	v.left <- struct{}{}
	return nil
}

func (v *visit) Data(r io.Reader) error {
	if _, err := io.Copy(io.Discard, r); err != nil {
		return err
	}
	if v.hang != nil {
		<-v.hang
	}
	if err := v.answer(v.dataCode); err != nil {
		return err
	}
	v.mails.Add(1)
	return nil
}

type loginVisit struct {
	visit
	known bool
}

func (v *loginVisit) AuthMechanisms() []string { return []string{sasl.Plain} }

func (v *loginVisit) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		if user != "ada" || password != v.password {
			return smtp.ErrAuthFailed
		}
		v.known = true
		return nil
	}), nil
}

func (v *loginVisit) Mail(from string, o *smtp.MailOptions) error {
	if !v.known {
		return smtp.ErrAuthRequired
	}
	return v.visit.Mail(from, o)
}

type quiet struct{}

func (quiet) Printf(string, ...any) {}
func (quiet) Println(...any)        {}
