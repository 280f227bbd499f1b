package handlers_test

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/events/users"
	"github.com/pitwheel/pitwheel/handlers"
	"github.com/pitwheel/pitwheel/router/routertest"
)

const (
	ada  = "0190f3c2-0000-7000-8000-00000000ada0"
	bob  = "0190f3c2-0000-7000-8000-000000000b0b"
	mail = "ada@example.com"
)

// start runs the whole reference application in memory.
func start(t *testing.T) (*routertest.Kit, *mailbox) {
	t.Helper()
	catalogue := events.NewCatalogue()
	if err := users.Register(catalogue); err != nil {
		t.Fatal(err)
	}
	box := &mailbox{}
	return routertest.Start(t, catalogue, handlers.All(handlers.Deps{Mailer: box})...), box
}

// mailbox is a Mailer that keeps what it is given, or fails.
type mailbox struct {
	mu    sync.Mutex
	mails []sent
	fails []error // answered to the next calls, one each
}

type sent struct{ ID, To, Subject, Text string }

func (m *mailbox) Send(_ context.Context, id, to, subject, text string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.fails) > 0 {
		err := m.fails[0]
		m.fails = m.fails[1:]
		return err
	}
	m.mails = append(m.mails, sent{id, to, subject, text})
	return nil
}

func (m *mailbox) failWith(errs ...error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fails = errs
}

func (m *mailbox) all() []sent {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]sent(nil), m.mails...)
}

var errSMTP = errors.New("421 try again later")
