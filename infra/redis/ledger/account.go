package ledger

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/pitwheel/pitwheel/events"
)

// account names a ledger: that of a handler, for one log. A log that takes the place of one
// that is gone, as after FLUSHALL, has other ledgers: positions of the old one mean nothing
// there, and what is settled late must not settle events of the new one.
type account struct {
	handler string
	log     string // the id of the log
}

// logs knows the id of the log that the store has.
type logs struct {
	epoch func(context.Context) (string, error)

	mu    sync.Mutex
	id    string
	asked time.Time
}

// logTTL bounds how often the store is asked for the id of its log.
const logTTL = time.Second

// current returns the id of the store's log, as it was a second ago at least.
func (l *logs) current(ctx context.Context) (string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.id != "" && time.Since(l.asked) < logTTL {
		return l.id, nil
	}
	epoch, err := l.epoch(ctx)
	if err != nil {
		return "", err
	}
	l.id, l.asked = logOf(epoch), time.Now()
	return l.id, nil
}

// known returns the id that current has returned last.
func (l *logs) known() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.id
}

// logOf returns the id of the log in one of its epochs.
func logOf(epoch string) string {
	id, _, _ := strings.Cut(epoch, ".")
	return id
}

// of returns the ledger of a handler for the log that the store has.
func (l *Ledger) of(ctx context.Context, handler string) (account, error) {
	log, err := l.logs.current(ctx)
	return account{handler, log}, err
}

// at returns the ledger of a handler for the log of a position.
func (l *Ledger) at(ctx context.Context, handler string, at events.LogPosition) (account, error) {
	if at.Log != "" {
		return account{handler, at.Log}, nil
	}
	return l.of(ctx, handler)
}
