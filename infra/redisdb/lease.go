package redisdb

import (
	"context"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/pitwheel/pitwheel/events"
)

// A role whose holder dies is free again after leaseTTL, and taken within one
// leaseTry: within six seconds.
const (
	leaseTTL = 5 * time.Second
	leaseTry = 500 * time.Millisecond
)

// Lead runs f whenever this instance holds the role, until ctx is over (it then
// returns nil) or f fails (it then returns f's error). The context given to f
// ends when the role is lost, and what f returns then is of no account. An f
// that returns nil gives the role back, and is run again as soon as the role can
// be had. A Redis that is away is waited for. Lead returns only after f has.
func (s *Store) Lead(ctx context.Context, role string, f func(context.Context) error) error {
	token := events.NewID()
	for ctx.Err() == nil {
		held, err := s.acquire(ctx, role, token)
		if err != nil && ctx.Err() == nil {
			s.log.DebugContext(ctx, "cannot ask for a role", "role", role, "error", err)
		}
		if held {
			lost, err := s.hold(ctx, role, token, f)
			if err != nil && !lost && ctx.Err() == nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(leaseTry):
		}
	}
	return nil
}

func (s *Store) acquire(ctx context.Context, role, token string) (bool, error) {
	_, err := s.do(ctx, "set", s.leaseKey(role), token, "nx", "px", leaseTTL.Milliseconds())
	if errors.Is(err, redis.Nil) {
		return false, nil
	}
	return err == nil, err
}

// hold runs f and renews the lease meanwhile. It tells whether the role was lost
// before f returned.
func (s *Store) hold(ctx context.Context, role, token string, f func(context.Context) error) (lost bool, err error) {
	held, drop := context.WithCancel(ctx)
	defer drop()
	ended := make(chan bool, 1)
	go func() {
		kept := s.renew(held, role, token)
		drop()
		ended <- !kept
	}()
	err = f(held)
	drop()
	lost = <-ended
	if lost {
		s.log.WarnContext(ctx, "a role is lost to another instance", "role", role)
		return true, err
	}
	// Given back at once, also at the end of ctx, so that nobody waits for it.
	release, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if _, err := s.run(release, s.scripts.release, []string{s.leaseKey(role)}, token); err != nil {
		s.log.DebugContext(ctx, "a role is not given back and will run out", "role", role, "error", err)
	}
	return false, err
}

// renew prolongs the lease until ctx is over, and then returns true; or until it
// is lost, or nobody can tell any more whether it is.
func (s *Store) renew(ctx context.Context, role, token string) bool {
	until := time.Now().Add(leaseTTL)
	for t := time.NewTicker(leaseTTL / 3); ; {
		select {
		case <-ctx.Done():
			t.Stop()
			return true
		case <-t.C:
		}
		asked := time.Now()
		try, cancel := context.WithDeadline(ctx, until)
		reply, err := s.run(try, s.scripts.renew, []string{s.leaseKey(role)}, token, leaseTTL.Milliseconds())
		cancel()
		kept, _ := reply.(int64)
		switch {
		case err == nil && kept == 1:
			until = asked.Add(leaseTTL)
		case ctx.Err() != nil:
			t.Stop()
			return true
		case err == nil, !time.Now().Before(until):
			t.Stop()
			return false
		}
	}
}
