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
	case ok && lacksRight(reply):
		return h.explainACL(reply, err)
	case ok && refusesWrites(reply):
		return events.Errorf(events.CodeUnavailable, "Redis at %s accepts no writes at present: %w", h.addrs, err).MayRetry()
	case ok && !transient(reply):
		return fmt.Errorf("Redis at %s refuses: %w", h.addrs, err)
	}
	return events.Errorf(events.CodeUnavailable, "Redis at %s does not answer: %w", h.addrs, err).MayRetry()
}

// explainACL names what an ACL does not allow the user of the URL, as far as Redis tells, and
// the rule to add.
func (h *health) explainACL(reply string, err error) *events.Error {
	e := events.Errorf(events.CodeConfig, "Redis at %s does not allow its user what is needed: %w", h.addrs, err).WithField("URL")
	_, after, named := strings.Cut(reply, "'")
	command, _, _ := strings.Cut(after, "'")
	switch {
	case strings.Contains(reply, "key"):
		return e.WithHint("allow its user the keys of the namespace: ACL SETUSER … ~%s*", h.prefix)
	case named && strings.HasPrefix(command, "eval"):
		return e.WithHint("allow its user scripts: ACL SETUSER … +@scripting")
	case named && !strings.Contains(reply, "script"):
		return e.WithHint("allow its user that command: ACL SETUSER … +%s", command)
	}
	return e.WithHint("ACL LOG on the server names the command of the script; ACL SETUSER … ~%s* +@all -@dangerous allows all that is needed", h.prefix)
}

// explainCommand is explain, and names the keys of a command that an ACL does not allow: Redis
// does not tell which.
func (h *health) explainCommand(err error, args []any) error {
	if reply, ok := replyError(err); ok && lacksRight(reply) && strings.Contains(reply, "key") {
		e := *h.explainACL(reply, err)
		e.Message += fmt.Sprintf(" (the keys are %v)", keysOf(args))
		return &e
	}
	return h.explain(err)
}

// keysOf returns the keys of a command.
func keysOf(args []any) []any {
	at, n := 1, 1
	switch args[0] {
	case "evalsha", "eval":
		at, n = 3, 0
		if count, ok := args[2].(int); ok {
			n = count
		}
	case "xgroup", "xinfo":
		at = 2
	}
	return args[min(at, len(args)):min(at+n, len(args))]
}

// lacksRight reports whether an error reply is about a command or key that an ACL does not
// allow. Redis 7 has other words for the commands of a script.
func lacksRight(reply string) bool {
	return firstWord(reply) == "NOPERM" || strings.Contains(reply, "The user executing the script can't") || strings.Contains(reply, "ACL failure in script")
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
	case "NOAUTH", "WRONGPASS":
		return true
	}
	return strings.Contains(reply, "invalid password") || strings.Contains(reply, "AUTH")
}

func firstWord(s string) string {
	word, _, _ := strings.Cut(s, " ")
	return word
}
