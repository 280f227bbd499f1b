package conn

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router/backoff"
)

// health reports whether Redis answers and whether it accepts writes. It learns so from
// every command, and pings once a second.
type health struct {
	client    redis.UniversalClient
	addrs     string
	prefix    string // of all keys
	log       *slog.Logger
	onState   func(bool)
	onBlocked func(bool)

	up      atomic.Bool // whether broken is nil, to be read on every command
	mu      sync.Mutex
	broken  error // why Redis does not answer; nil while it does
	blocked error // why it refuses writes although it may answer; nil while it does not
	unfit   error // how it is configured to lose what must be kept; nil while it is not
	stop    context.CancelFunc
	done    chan struct{}
}

const (
	pingEvery   = time.Second
	lookEvery   = 3                     // pings between two looks at how Redis is configured
	minConnect  = 50 * time.Millisecond // between two attempts to connect at start
	maxConnect  = 2 * time.Second
	logEvery    = 10 * time.Second // between two log lines while waiting
	probeExpiry = 10 * time.Second // of the keys that probe whether writes are accepted
)

func newHealth(client redis.UniversalClient, addrs string, cfg Config) *health {
	h := &health{client: client, addrs: addrs, log: cfg.Logger, onState: cfg.OnState, onBlocked: cfg.OnBlocked}
	if h.onState == nil {
		h.onState = func(bool) {}
	}
	if h.onBlocked == nil {
		h.onBlocked = func(bool) {}
	}
	return h
}

// await repeats try until it succeeds, fails for another reason than that Redis does not
// answer, or ctx ends.
func (h *health) await(ctx context.Context, try func() error) error {
	pause, logged := backoff.Backoff{Min: minConnect, Max: maxConnect}, time.Time{}
	var cause error
	for {
		err := try()
		if err == nil {
			return nil
		}
		reply, replied := replyError(err)
		switch {
		case events.CodeOf(err) == events.CodeConfig:
			return err
		case replied && deniesAccess(reply):
			return events.Errorf(events.CodeConfig, "Redis at %s refuses the user or password in the Redis URL: %s", h.addrs, firstWord(reply)).WithField("URL")
		case replied && !transient(reply):
			return events.Errorf(events.CodeConfig, "Redis at %s refuses what the Redis URL asks for: %s", h.addrs, reply).WithField("URL")
		}
		if cause == nil || !errors.Is(err, context.DeadlineExceeded) {
			cause = err // That time is over says nothing of why.
		}
		if ctx.Err() != nil {
			if events.CodeOf(cause) != events.CodeUnavailable {
				cause = events.Errorf(events.CodeUnavailable, "Redis at %s does not answer: %w", h.addrs, cause)
			}
			var unavailable *events.Error
			_ = errors.As(cause, &unavailable)
			return unavailable.MayRetry().WithHint("check that it runs and that the Redis URL names it")
		}
		if events.CodeOf(err) != events.CodeUnavailable && !errors.Is(err, context.DeadlineExceeded) {
			return err
		}
		if time.Since(logged) > logEvery {
			logged = time.Now()
			h.log.WarnContext(ctx, "waiting for Redis", "addr", h.addrs, "error", err)
		}
		pause.Wait(ctx)
	}
}

// probes are what health asks Redis regularly.
type probes struct {
	// writes writes to every node.
	writes func(context.Context) error
	// fitness is [Conn.probeFitness].
	fitness func(context.Context) error
}

// watch starts to observe every command and to ping; close ends it. Writes count as
// refused until a probe of them succeeds: that Redis answers a reader says nothing about
// writing.
func (h *health) watch(probe probes) {
	ctx, stop := context.WithCancel(context.Background())
	h.stop, h.done = stop, make(chan struct{})
	h.up.Store(true)
	h.onState(true)
	h.client.AddHook(healthHook{h})
	go func() {
		defer close(h.done)
		for n := 1; backoff.Wait(ctx, pingEvery); n++ {
			ping, cancel := context.WithTimeout(ctx, 2*pingEvery)
			if h.writesRefused() == nil {
				_ = h.client.Ping(ping).Err() // The hook has observed it.
			} else if err := probe.writes(ping); err == nil {
				h.setBlocked(nil)
			}
			if n%lookEvery == 0 {
				if err := probe.fitness(ping); err == nil || events.CodeOf(err) == events.CodeConfig {
					h.setUnfit(err)
				}
			}
			cancel()
		}
	}()
}

func (h *health) close() {
	h.stop()
	<-h.done
}

// setBroken keeps whether Redis has just answered (nil), or why it has not.
func (h *health) setBroken(err error) {
	h.set(&h.broken, err, "Redis does not answer", "Redis answers again", func(broken bool) {
		h.up.Store(!broken)
		h.onState(!broken)
	})
}

// setBlocked keeps why Redis refuses writes, or with nil that it accepts them again.
func (h *health) setBlocked(err error) {
	h.set(&h.blocked, err, "Redis accepts no writes at present", "Redis accepts writes again", h.onBlocked)
}

// setUnfit keeps how Redis is configured to lose what must be kept, or with nil that it is not.
func (h *health) setUnfit(err error) {
	h.set(&h.unfit, err, "Redis is not configured to keep what it is given", "Redis is configured to keep what it is given", func(bool) {})
}

// set keeps an error in a field, and if the trouble begins or ends by that, logs it and
// calls changed.
func (h *health) set(field *error, err error, begins, ends string, changed func(trouble bool)) {
	h.mu.Lock()
	was := *field
	*field = err
	if (was == nil) == (err == nil) {
		h.mu.Unlock()
		return
	}
	changed(err != nil)
	h.mu.Unlock()
	if err != nil {
		h.log.Warn(begins, "addr", h.addrs, "error", err)
	} else {
		h.log.Info(ends, "addr", h.addrs)
	}
}

func (h *health) writesRefused() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.blocked
}

func (h *health) ready() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.broken != nil {
		return h.explain(h.broken)
	}
	if h.blocked != nil {
		return h.explain(h.blocked)
	}
	return h.unfit
}

// ProbeWrites sets the keys that are written once a second while Redis refuses writes, to
// notice when it accepts them again. In a cluster there should be one in each slot range
// that is used. It is to be called while [Open] prepares.
func (c *Conn) ProbeWrites(keys []string) { c.probeKeys = keys }

func (c *Conn) probeWrites(ctx context.Context) error {
	_, err := c.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, key := range c.probeKeys {
			p.Set(ctx, key, "", probeExpiry)
		}
		return nil
	})
	return err
}
