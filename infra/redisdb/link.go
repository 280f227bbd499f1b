package redisdb

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/pitwheel/pitwheel/events"
)

// link knows whether Redis answers, and whether it takes what is written. It learns
// so from every command that is sent, and asks by itself once a second.
type link struct {
	client    redis.UniversalClient
	addrs     string
	log       *slog.Logger
	onState   func(bool)
	onBlocked func(bool)

	up      atomic.Bool // whether broken is nil, to be read on every command
	mu      sync.Mutex
	broken  error // why Redis does not answer; nil while it does
	blocked error // why it takes no writes although it may answer; nil while it does
	stop    context.CancelFunc
	done    chan struct{}
}

const (
	pulse      = time.Second      // how often a quiet connection is tried
	longestGap = 2 * time.Second  // between two attempts to connect at start
	sayAgain   = 10 * time.Second // between two log lines while waiting
)

func newLink(client redis.UniversalClient, addrs string, cfg Config) *link {
	l := &link{client: client, addrs: addrs, log: cfg.Logger, onState: cfg.OnState, onBlocked: cfg.OnBlocked}
	if l.onState == nil {
		l.onState = func(bool) {}
	}
	if l.onBlocked == nil {
		l.onBlocked = func(bool) {}
	}
	return l
}

// await tries until it succeeds, fails for another reason than that Redis does not
// answer, or ctx is over.
func (l *link) await(ctx context.Context, try func() error) error {
	gap, said := 50*time.Millisecond, time.Time{}
	var cause error
	for {
		err := try()
		if err == nil {
			return nil
		}
		reply, replied := replyError(err)
		switch {
		case replied && refused(reply):
			return events.Errorf(events.CodeConfig, "Redis at %s refuses the user or password in PITWHEEL_REDIS_URL: %s", l.addrs, firstWord(reply))
		case replied && !passing(reply):
			return events.Errorf(events.CodeConfig, "Redis at %s refuses what PITWHEEL_REDIS_URL asks of it: %s", l.addrs, reply)
		}
		if cause == nil || !errors.Is(err, context.DeadlineExceeded) {
			cause = err // That time is over says nothing of why.
		}
		if ctx.Err() != nil {
			if events.CodeOf(cause) != events.CodeUnavailable {
				cause = events.Errorf(events.CodeUnavailable, "Redis at %s does not answer: %w", l.addrs, cause)
			}
			var away *events.Error
			_ = errors.As(cause, &away)
			return away.MayRetry().
				WithHint("check that it runs and that PITWHEEL_REDIS_URL names it")
		}
		if events.CodeOf(err) != events.CodeUnavailable && !errors.Is(err, context.DeadlineExceeded) {
			return err
		}
		if time.Since(said) > sayAgain {
			said = time.Now()
			l.log.WarnContext(ctx, "waiting for Redis", "addr", l.addrs, "error", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(gap):
		}
		gap = min(2*gap, longestGap)
	}
}

// watch starts to listen to every command and to feel the pulse; close ends it. What
// is blocked stays so until write succeeds, which writes a little everywhere: that
// Redis answers a reader says nothing about writing.
func (l *link) watch(write func(context.Context) error) {
	ctx, stop := context.WithCancel(context.Background())
	l.stop, l.done = stop, make(chan struct{})
	l.up.Store(true)
	l.onState(true)
	l.client.AddHook(pulseHook{l})
	go func() {
		defer close(l.done)
		for t := time.NewTicker(pulse); ; {
			select {
			case <-ctx.Done():
				t.Stop()
				return
			case <-t.C:
			}
			ping, cancel := context.WithTimeout(ctx, 2*pulse)
			if l.isBlocked() == nil {
				_ = l.client.Ping(ping).Err() // The hook has seen it.
			} else if err := write(ping); err == nil {
				l.block(nil)
			}
			cancel()
		}
	}()
}

func (l *link) close() {
	if l.stop != nil {
		l.stop()
		<-l.done
	}
}

// saw notes whether Redis has just answered.
func (l *link) saw(err error) {
	l.mu.Lock()
	was := l.broken
	l.broken = err
	l.up.Store(err == nil)
	changed := (was == nil) != (err == nil)
	if changed {
		l.onState(err == nil)
	}
	l.mu.Unlock()
	switch {
	case changed && err != nil:
		l.log.Warn("Redis does not answer", "addr", l.addrs, "error", err)
	case changed:
		l.log.Info("Redis answers again", "addr", l.addrs)
	}
}

// block notes that Redis takes no writes, and why, or with nil that it takes them
// again.
func (l *link) block(err error) {
	l.mu.Lock()
	changed := (l.blocked == nil) != (err == nil)
	l.blocked = err
	if changed {
		l.onBlocked(err != nil)
	}
	l.mu.Unlock()
	switch {
	case changed && err != nil:
		l.log.Warn("Redis takes no writes for now", "addr", l.addrs, "error", err)
	case changed:
		l.log.Info("Redis takes writes again", "addr", l.addrs)
	}
}

func (l *link) isBlocked() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.blocked
}

func (l *link) ready() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.broken != nil {
		return l.explain(l.broken)
	}
	return l.explain(l.blocked)
}

// explain turns an error of the client into one of ours. Errors of contexts pass
// as they are; a Redis that cannot serve now gives the code UNAVAILABLE.
func (l *link) explain(err error) error {
	var ours *events.Error
	switch {
	case err == nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || errors.As(err, &ours):
		return err
	case errors.Is(err, redis.ErrClosed):
		return events.Errorf(events.CodeShuttingDown, "the connection to Redis is closed: %w", err)
	}
	reply, ok := replyError(err)
	switch {
	case ok && blocking(reply):
		return events.Errorf(events.CodeUnavailable, "Redis at %s takes no writes for now: %w", l.addrs, err).MayRetry()
	case ok && !passing(reply):
		return fmt.Errorf("Redis at %s refuses: %w", l.addrs, err)
	}
	return events.Errorf(events.CodeUnavailable, "Redis at %s does not answer: %w", l.addrs, err).MayRetry()
}

// replyError returns the text of an error that Redis itself gave.
func replyError(err error) (string, bool) {
	var reply redis.Error
	var network net.Error
	if errors.As(err, &network) || !errors.As(err, &reply) {
		return "", false
	}
	return reply.Error(), true
}

// passing tells whether an error reply is about the state that the server is in,
// and not about what was asked.
func passing(reply string) bool {
	switch firstWord(reply) {
	case "LOADING", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "BUSY", "UNBLOCKED":
		return true
	}
	return blocking(reply) || strings.Contains(reply, "max number of clients")
}

// blocking tells whether an error reply is about a state in which the server takes
// no writes and goes on answering readers.
func blocking(reply string) bool {
	switch firstWord(reply) {
	case "OOM", "READONLY", "MISCONF", "NOREPLICAS":
		return true
	}
	return false
}

func refused(reply string) bool {
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
