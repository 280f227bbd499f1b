package lease

import (
	"context"
	_ "embed" // scripts
	"errors"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/redis/conn"
	"github.com/pitwheel/pitwheel/router/backoff"
)

// A role whose holder dies is free again after ttl, and taken within one retryEvery:
// within six seconds.
const (
	ttl        = 5 * time.Second
	retryEvery = 500 * time.Millisecond
)

var (
	//go:embed renew.lua
	renewLua string
	//go:embed release.lua
	releaseLua string
)

// Elector gives leases on roles. It is safe for concurrent use.
type Elector struct {
	conn           *conn.Conn
	renew, release *conn.Script
}

// New returns an elector on a connection.
func New(c *conn.Conn) *Elector {
	return &Elector{conn: c, renew: conn.NewScript(renewLua), release: conn.NewScript(releaseLua)}
}

func (e *Elector) key(role string) string { return e.conn.Key("lease:" + role) }

// Lead runs f whenever this instance holds the role, until ctx ends (it then returns nil)
// or f fails (it then returns f's error), or Redis does not allow what a role needs (the
// error then has the code CONFIG). The context given to f ends when the role is lost, and
// what f returns then is ignored. Its Err is exact also right after a pause of the process.
// When f returns nil the role is given back, and f is run again as soon as the role is held
// again. While Redis is unreachable Lead waits. It returns only after f has.
func (e *Elector) Lead(ctx context.Context, role string, f func(context.Context) error) error {
	for ctx.Err() == nil {
		token, asked := events.NewID(), time.Now()
		held, err := e.acquire(ctx, role, token)
		if events.CodeOf(err) == events.CodeConfig {
			return err
		}
		if err != nil && ctx.Err() == nil {
			e.conn.Logger().DebugContext(ctx, "a role cannot be acquired", "role", role, "error", err)
		}
		if held {
			lost, err := e.hold(ctx, role, token, asked, f)
			if events.CodeOf(lost) == events.CodeConfig {
				return lost
			}
			if err != nil && lost == nil && ctx.Err() == nil {
				return err
			}
		}
		backoff.Wait(ctx, retryEvery)
	}
	return nil
}

func (e *Elector) acquire(ctx context.Context, role, token string) (bool, error) {
	_, err := e.conn.Do(ctx, "set", e.key(role), token, "nx", "px", ttl.Milliseconds())
	if errors.Is(err, redis.Nil) {
		return false, nil
	}
	return err == nil, err
}

// hold runs f and renews meanwhile the lease that was asked for at the given time. It returns
// why the role was lost, if it was before f returned, and f's error.
func (e *Elector) hold(ctx context.Context, role, token string, asked time.Time, f func(context.Context) error) (lost, err error) {
	held, drop := newTerm(ctx, asked.Add(ttl))
	defer drop()
	ended := make(chan error, 1)
	go func() {
		lost := e.keep(held, role, token)
		drop()
		ended <- lost
	}()
	err = f(held)
	drop()
	lost = <-ended
	if lost != nil {
		e.conn.Logger().WarnContext(ctx, "a role is lost", "role", role, "error", lost)
		return lost, err
	}
	// Given back at once, also at the end of ctx, so that no instance waits for it to expire.
	release, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if _, err := e.conn.Run(release, e.release, []string{e.key(role)}, token); err != nil {
		e.conn.Logger().DebugContext(ctx, "a role is not given back and will expire", "role", role, "error", err)
	}
	return nil, err
}

// keep renews the lease until the term ends, and then returns nil; or until the lease is
// lost, or may be, and then returns why.
func (e *Elector) keep(t *term, role, token string) error {
	tick := time.NewTicker(ttl / 3)
	defer tick.Stop()
	for {
		select {
		case <-t.Done():
			return t.lost()
		case <-tick.C:
		}
		asked := time.Now()
		try, cancel := context.WithDeadline(t, t.until())
		reply, err := e.conn.Run(try, e.renew, []string{e.key(role)}, token, ttl.Milliseconds())
		cancel()
		kept, _ := reply.(int64)
		switch {
		case err == nil && kept == 1:
			t.extend(asked.Add(ttl))
		case t.Err() != nil:
			return t.lost()
		case err == nil:
			return errors.New("another instance holds it, or its lease has expired")
		case events.CodeOf(err) == events.CodeConfig:
			return err
		}
	}
}
