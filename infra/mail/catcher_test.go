package mail_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"net/smtp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/mail"
)

func TestCatcher_KeepsTheNewest(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	c := startCatcher(t, mail.CatcherConfig{Keep: 3, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	s := open(t, mail.Config{URL: "smtp://" + c.Addr()})
	var all []string
	for i := range 8 {
		subject := fmt.Sprintf("mail %d", i)
		if err := s.Send(t.Context(), events.NewID(), "a@example.com", subject, "t"); err != nil {
			t.Fatal(err)
		}
		all = append(all, subject)
		var kept []string
		for _, m := range c.Messages() {
			kept = append(kept, m.Subject)
		}
		if diff := cmp.Diff(all[max(0, len(all)-3):], kept); diff != "" {
			t.Fatalf("after %d mails (-want +got):\n%s", i+1, diff)
		}
		if c.Count() != i+1 {
			t.Errorf("Count is %d after %d mails", c.Count(), i+1)
		}
	}
	_ = c.Close()
	if n := strings.Count(log.String(), `msg="mail caught" to=a@example.com subject="mail `); n != 8 {
		t.Errorf("%d lines in the log, want 8:\n%s", n, log.String())
	}
}

func TestCatcher_ForeignMail(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, raw, subject, text string }{
		{"no header", "just text\r\n", "", "just text\r\n"},
		{"multipart", "Subject: =?utf-8?q?caf=C3=A9?=\r\nContent-Type: multipart/alternative; boundary=b\r\n\r\n" +
			"--b\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\naGVsbG8=\r\n--b\r\nContent-Type: text/html\r\n\r\n<p>x</p>\r\n--b--\r\n", "café", "hello"},
		{"binary", "Subject: x\r\nContent-Type: image/png\r\n\r\n\x89PNG\r\n", "x", ""},
		{"multipart without end", "Subject: x\r\nContent-Type: multipart/mixed\r\n\r\nnothing\r\n", "x", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			c := startCatcher(t, mail.CatcherConfig{})
			if err := smtp.SendMail(c.Addr(), nil, "b@example.com", []string{"x@example.com", "y@example.com"}, []byte(tc.raw)); err != nil {
				t.Fatal(err)
			}
			m := c.Messages()[0]
			if m.Subject != tc.subject || m.Text != tc.text || m.To != "x@example.com, y@example.com" || m.From != "b@example.com" {
				t.Errorf("caught %+v", m)
			}
		})
	}
}

func TestCatcher_ServeHTTP(t *testing.T) {
	t.Parallel()
	c := startCatcher(t, mail.CatcherConfig{})
	get := func(accept string) *httptest.ResponseRecorder {
		r := httptest.NewRequest("GET", "/mail", nil)
		r.Header.Set("Accept", accept)
		w := httptest.NewRecorder()
		c.ServeHTTP(w, r)
		return w
	}
	if got := get("application/json").Body.String(); got != "[]\n" {
		t.Errorf("no mails: %q", got)
	}
	s := open(t, mail.Config{URL: "smtp://" + c.Addr()})
	for _, subject := range []string{"first", "<script>alert(1)</script>"} {
		if err := s.Send(t.Context(), events.NewID(), "a@example.com", subject, "text of <"+subject); err != nil {
			t.Fatal(err)
		}
	}
	var mails []map[string]any
	if err := json.Unmarshal(get("*/*").Body.Bytes(), &mails); err != nil {
		t.Fatal(err)
	}
	if len(mails) != 2 || mails[1]["subject"] != "first" || mails[0]["to"] != "a@example.com" || mails[0]["at"] == nil {
		t.Errorf("got %v", mails)
	}
	page := get("text/html,*/*;q=0.8").Body.String()
	newest, oldest := strings.Index(page, "text of &lt;&lt;script&gt;"), strings.Index(page, "text of &lt;first")
	if newest < 0 || oldest < newest || strings.Contains(page, "<script>") || !strings.Contains(page, `http-equiv="refresh"`) || !strings.Contains(page, "to a@example.com") {
		t.Errorf("page:\n%s", page)
	}
	w := httptest.NewRecorder()
	c.ServeHTTP(w, httptest.NewRequest("POST", "/mail", nil))
	if w.Code != 405 {
		t.Errorf("POST answers %d", w.Code)
	}
}

func TestCatcher_PageIsBounded(t *testing.T) {
	t.Parallel()
	c := startCatcher(t, mail.CatcherConfig{})
	s := open(t, mail.Config{URL: "smtp://" + c.Addr()})
	for i := range 101 {
		if err := s.Send(t.Context(), events.NewID(), "a@example.com", fmt.Sprintf("mail %d.", i), "text"); err != nil {
			t.Fatal(err)
		}
	}
	r := httptest.NewRequest("GET", "/mail", nil)
	r.Header.Set("Accept", "text/html")
	w := httptest.NewRecorder()
	c.ServeHTTP(w, r)
	page := w.Body.String()
	if !strings.Contains(page, "mail 100.") || !strings.Contains(page, "mail 1.") || strings.Contains(page, "mail 0.") || !strings.Contains(page, "JSON has 101") {
		t.Errorf("page:\n%s", page)
	}
}

func TestCatcher_AddressInUse(t *testing.T) {
	t.Parallel()
	c := startCatcher(t, mail.CatcherConfig{})
	_, err := mail.StartCatcher(mail.CatcherConfig{Addr: c.Addr()})
	if events.CodeOf(err) != events.CodeConfig || !strings.Contains(err.Error(), c.Addr()) {
		t.Errorf("error %v", err)
	}
	var e *events.Error
	if !errors.As(err, &e) || e.Field != "Addr" || !strings.Contains(e.Hint, "another address") {
		t.Errorf("error %#v has no way out", err)
	}
	if _, err := mail.StartCatcher(mail.CatcherConfig{Addr: "nowhere"}); events.CodeOf(err) != events.CodeConfig {
		t.Errorf("a wrong address: %v", err)
	}
}

func TestCatcher_CloseTwice(t *testing.T) {
	t.Parallel()
	c := startCatcher(t, mail.CatcherConfig{})
	for range 2 {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
}
