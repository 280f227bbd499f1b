package mail_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/mail"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func startCatcher(t *testing.T, cfg mail.CatcherConfig) *mail.Catcher {
	t.Helper()
	if cfg.Addr == "" {
		cfg.Addr = "127.0.0.1:0"
	}
	c, err := mail.StartCatcher(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func open(t *testing.T, cfg mail.Config) *mail.Sender {
	t.Helper()
	s, err := mail.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestSender_Send(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, subject, text string }{
		{"plain", "Welcome, Ada", "Hello Ada\nyour account is ready.\n"},
		{"unicode", "Willkommen, Zoë 🎉", "Grüße — 你好\n"},
		{"long line", "Long", strings.Repeat("x", 5000) + "\n"},
		{"dots", "Dots", ".\n..\n.hidden\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			c := startCatcher(t, mail.CatcherConfig{})
			s := open(t, mail.Config{URL: "smtp://" + c.Addr(), From: "Shop <shop@example.com>"})
			id := events.NewID()
			if err := s.Send(t.Context(), id, "ada@example.com", tc.subject, tc.text); err != nil {
				t.Fatal(err)
			}
			got := c.Messages()
			if len(got) != 1 {
				t.Fatalf("caught %d mails, want 1", len(got))
			}
			m := got[0]
			if m.ID != id+"@pitwheel" || m.From != "shop@example.com" || m.To != "ada@example.com" || m.Subject != tc.subject {
				t.Errorf("caught %+v", m)
			}
			if strings.TrimRight(m.Text, "\n") != strings.TrimRight(tc.text, "\n") {
				t.Errorf("text is %q, want %q", m.Text, tc.text)
			}
			if time.Since(m.At) > time.Minute {
				t.Errorf("caught at %s", m.At)
			}
		})
	}
}

func TestSender_SubjectCannotAddHeaders(t *testing.T) {
	t.Parallel()
	c := startCatcher(t, mail.CatcherConfig{})
	s := open(t, mail.Config{URL: "smtp://" + c.Addr()})
	_ = s.Send(t.Context(), "a\r\nBcc: eve@example.com", "ada@example.com", "Hi\r\nBcc: eve@example.com\r\n\r\nbody", "text")
	for _, m := range c.Messages() {
		if m.To != "ada@example.com" || strings.Contains(m.ID, "eve") || !strings.HasPrefix(m.Text, "text") {
			t.Errorf("caught %+v", m)
		}
	}
	if err := s.Send(t.Context(), "id", "ada@example.com>\r\nRCPT TO:<eve@example.com", "s", "t"); !events.IsPermanent(err) {
		t.Errorf("a recipient with a line break: %v, want a permanent error", err)
	}
}

func TestSender_Concurrency(t *testing.T) {
	t.Parallel()
	srv := startServer(t, &server{})
	s := open(t, mail.Config{URL: "smtp://" + srv.addr})
	const senders, each = 64, 20
	var wg sync.WaitGroup
	failed := make(chan error, senders*each)
	for i := range senders {
		wg.Go(func() {
			for j := range each {
				if err := s.Send(t.Context(), events.NewID(), fmt.Sprintf("u%d-%d@example.com", i, j), "s", "t"); err != nil {
					failed <- err
				}
			}
		})
	}
	wg.Wait()
	close(failed)
	for err := range failed {
		t.Error(err)
	}
	if n := srv.mails.Load(); n != senders*each {
		t.Errorf("%d mails arrived, want %d", n, senders*each)
	}
	if n := srv.sessions.Load(); n > 8 {
		t.Errorf("%d sessions were opened, want at most 8", n)
	}
}

func TestSender_Errors(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name      string
		server    *server
		to        string
		permanent bool
		code      string
	}{
		{"sender refused", &server{mailCode: 550}, "a@example.com", true, events.CodeInvalid},
		{"recipient refused", &server{rcptCode: 550}, "a@example.com", true, events.CodeInvalid},
		{"recipient greylisted", &server{rcptCode: 450}, "a@example.com", false, events.CodeUnavailable},
		{"content refused", &server{dataCode: 554}, "a@example.com", true, events.CodeInvalid},
		{"disk full", &server{dataCode: 452}, "a@example.com", false, events.CodeUnavailable},
		{"no address", &server{}, "nobody", true, events.CodeInvalid},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			srv := startServer(t, tc.server)
			s := open(t, mail.Config{URL: "smtp://" + srv.addr})
			for range 3 { // The session must be good for the next mail.
				err := s.Send(t.Context(), events.NewID(), tc.to, "s", "t")
				if err == nil || events.IsPermanent(err) != tc.permanent || events.CodeOf(err) != tc.code {
					t.Fatalf("error %v: permanent %t, code %s", err, events.IsPermanent(err), events.CodeOf(err))
				}
			}
			srv.calm()
			if err := s.Send(t.Context(), events.NewID(), "a@example.com", "s", "t"); err != nil {
				t.Errorf("after the errors: %v", err)
			}
			if n := srv.sessions.Load(); n > 1 {
				t.Errorf("%d sessions were opened, want one", n)
			}
		})
	}
}

func TestSender_ServerRestart(t *testing.T) {
	t.Parallel()
	first := startCatcher(t, mail.CatcherConfig{})
	addr := first.Addr()
	s := open(t, mail.Config{URL: "smtp://" + addr})
	if err := s.Send(t.Context(), events.NewID(), "a@example.com", "1", "t"); err != nil {
		t.Fatal(err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	err := s.Send(t.Context(), events.NewID(), "a@example.com", "2", "t")
	if events.CodeOf(err) != events.CodeUnavailable || events.IsPermanent(err) || !strings.Contains(err.Error(), addr) {
		t.Fatalf("with the server down: %v", err)
	}
	second := startCatcher(t, mail.CatcherConfig{Addr: addr})
	for i := range 3 {
		if err := s.Send(t.Context(), events.NewID(), "a@example.com", "3", "t"); err != nil {
			t.Fatalf("mail %d after the restart: %v", i, err)
		}
	}
	if second.Count() != 3 {
		t.Errorf("the new server caught %d mails, want 3", second.Count())
	}
}

// A server that hangs up on an idle session costs no mail and no error.
func TestSender_StaleSession(t *testing.T) {
	t.Parallel()
	first := startCatcher(t, mail.CatcherConfig{})
	s := open(t, mail.Config{URL: "smtp://" + first.Addr()})
	if err := s.Send(t.Context(), events.NewID(), "a@example.com", "1", "t"); err != nil {
		t.Fatal(err)
	}
	_ = first.Close()
	second := startCatcher(t, mail.CatcherConfig{Addr: first.Addr()})
	if err := s.Send(t.Context(), events.NewID(), "a@example.com", "2", "t"); err != nil {
		t.Fatal(err)
	}
	if second.Count() != 1 {
		t.Errorf("the new server caught %d mails, want 1", second.Count())
	}
}

func TestSender_IdleSessions(t *testing.T) {
	t.Parallel()
	srv := startServer(t, &server{})
	s := open(t, mail.Config{URL: "smtp://" + srv.addr, Idle: 20 * time.Millisecond})
	if err := s.Send(t.Context(), events.NewID(), "a@example.com", "1", "t"); err != nil {
		t.Fatal(err)
	}
	select {
	case <-srv.left:
	case <-time.After(time.Minute):
		t.Fatal("the idle session is still open")
	}
}

func TestSender_Context(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		server *server
	}{
		{"no greeting", &server{mute: true}},
		{"no answer to the mail", &server{hang: make(chan struct{})}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			srv := startServer(t, tc.server)
			s := open(t, mail.Config{URL: "smtp://" + srv.addr, Sessions: 1})
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			var wg sync.WaitGroup
			for range 2 { // One holds the only session, the other waits for it.
				wg.Go(func() {
					start := time.Now()
					err := s.Send(ctx, events.NewID(), "a@example.com", "s", "t")
					if !errors.Is(err, context.DeadlineExceeded) || events.CodeOf(err) != events.CodeTimeout || events.IsPermanent(err) {
						t.Errorf("error %v", err)
					}
					if d := time.Since(start); d > 30*time.Second {
						t.Errorf("it took %s", d)
					}
				})
			}
			wg.Wait()
		})
	}
}

func TestSender_TLSWithLogin(t *testing.T) {
	t.Parallel()
	const password = "p/ss w:rd"
	for _, scheme := range []string{"smtp", "smtps"} {
		t.Run(scheme, func(t *testing.T) {
			t.Parallel()
			srv := startServer(t, &server{tls: true, implicit: scheme == "smtps", password: password})
			s := open(t, mail.Config{URL: scheme + "://ada:p%2Fss%20w%3Ard@" + srv.addr, TLS: srv.trust})
			if err := s.Send(t.Context(), events.NewID(), "a@example.com", "s", "t"); err != nil {
				t.Fatal(err)
			}
			wrong := open(t, mail.Config{URL: scheme + "://ada:h0ppla@" + srv.addr, TLS: srv.trust})
			err := wrong.Send(t.Context(), events.NewID(), "a@example.com", "s", "t")
			if err == nil || events.IsPermanent(err) || strings.Contains(err.Error(), "h0ppla") {
				t.Errorf("a wrong password: %v, want an error that may pass and does not tell it", err)
			}
			if n := srv.mails.Load(); n != 1 {
				t.Errorf("%d mails, want 1", n)
			}
		})
	}
}

func TestSender_NoPlainTextPassword(t *testing.T) {
	t.Parallel()
	srv := startServer(t, &server{password: "secret"})
	s := open(t, mail.Config{URL: "smtp://ada:secret@" + srv.addr})
	if err := s.Send(t.Context(), events.NewID(), "a@example.com", "s", "t"); err == nil || srv.mails.Load() != 0 {
		t.Errorf("error %v, %d mails; want an error", err, srv.mails.Load())
	}
}

func TestSender_Discard(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	s := open(t, mail.Config{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err := s.Send(t.Context(), events.NewID(), "a@example.com", "s", "t"); err != nil {
		t.Error(err)
	}
	if err := s.Send(t.Context(), events.NewID(), "nobody", "s", "t"); !events.IsPermanent(err) {
		t.Errorf("a wrong address: %v", err)
	}
	if got := strings.Count(log.String(), "mail is discarded"); got != 1 {
		t.Errorf("the log says %d times that mail is discarded:\n%s", got, log.String())
	}
}

func TestSender_SendAfterClose(t *testing.T) {
	t.Parallel()
	c := startCatcher(t, mail.CatcherConfig{})
	s := open(t, mail.Config{URL: "smtp://" + c.Addr()})
	if err := s.Send(t.Context(), events.NewID(), "a@example.com", "s", "t"); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Send(t.Context(), events.NewID(), "a@example.com", "s", "t"); events.CodeOf(err) != events.CodeShuttingDown {
		t.Errorf("error %v", err)
	}
}

func TestOpen_Faults(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, want string
		cfg        mail.Config
	}{
		{"scheme", `scheme "http"`, mail.Config{URL: "http://u:hunter2@h:25"}},
		{"no host", "host", mail.Config{URL: "smtp://u:hunter2@:25"}},
		{"port", "70000", mail.Config{URL: "smtp://u:hunter2@h:70000"}},
		{"no number", "not a URL", mail.Config{URL: "smtp://u:hunter2/x@h:25"}},
		{"query", "after the host", mail.Config{URL: "smtp://u:hunter2@h:25?tls=no"}},
		{"from", "nobody", mail.Config{From: "nobody"}},
		{"sessions", "-1", mail.Config{Sessions: -1}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			_, err := mail.Open(tc.cfg)
			if events.CodeOf(err) != events.CodeConfig || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want CONFIG with %q", err, tc.want)
			}
			var e *events.Error
			if tc.cfg.URL != "" && (!errors.As(err, &e) || e.Field != "URL") {
				t.Errorf("error %v does not name the field", err)
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("error %v holds the password", err)
			}
		})
	}
}

func BenchmarkSend(b *testing.B) {
	c, err := mail.StartCatcher(mail.CatcherConfig{Addr: "127.0.0.1:0"})
	if err != nil {
		b.Fatal(err)
	}
	s, err := mail.Open(mail.Config{URL: "smtp://" + c.Addr()})
	if err != nil {
		b.Fatal(err)
	}
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := s.Send(b.Context(), events.NewID(), "a@example.com", "Welcome", "Hello Ada"); err != nil {
				b.Error(err)
			}
		}
	})
	_ = s.Close()
	_ = c.Close()
}
