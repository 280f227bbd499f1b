package conn

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/pitwheel/pitwheel/events"
)

// explain is [Conn.Explain].
func (h *health) explain(err error) error {
	var ours *events.Error
	switch {
	case err == nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || errors.As(err, &ours):
		return err
	case errors.Is(err, redis.ErrClosed):
		return events.Errorf(events.CodeShuttingDown, "the connection to Redis is closed: %w", err)
	}
	reply, ok := replyError(err)
	switch {
	case ok && refusesWrites(reply):
		return events.Errorf(events.CodeUnavailable, "Redis at %s accepts no writes at present: %w", h.addrs, err).MayRetry()
	case ok && !transient(reply):
		return fmt.Errorf("Redis at %s refuses: %w", h.addrs, err)
	}
	return events.Errorf(events.CodeUnavailable, "Redis at %s does not answer: %w", h.addrs, err).MayRetry()
}

// replyError returns the text of an error that Redis itself replied.
func replyError(err error) (string, bool) {
	var reply redis.Error
	var network net.Error
	if errors.As(err, &network) || !errors.As(err, &reply) {
		return "", false
	}
	return reply.Error(), true
}

// transient reports whether an error reply is about the state that the server is in, and
// not about the command.
func transient(reply string) bool {
	switch firstWord(reply) {
	case "LOADING", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "BUSY", "UNBLOCKED":
		return true
	}
	return refusesWrites(reply) || strings.Contains(reply, "max number of clients")
}

// refusesWrites reports whether an error reply is about a state in which the server
// refuses writes and goes on answering readers.
func refusesWrites(reply string) bool {
	switch firstWord(reply) {
	case "OOM", "READONLY", "MISCONF", "NOREPLICAS":
		return true
	}
	return false
}

// deniesAccess reports whether an error reply is about the user or password.
func deniesAccess(reply string) bool {
	switch firstWord(reply) {
	case "NOAUTH", "WRONGPASS", "NOPERM":
		return true
	}
	return strings.Contains(reply, "invalid password") || strings.Contains(reply, "AUTH")
}

func firstWord(s string) string {
	word, _, _ := strings.Cut(s, " ")
	return word
}
