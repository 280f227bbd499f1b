package redisdb

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/pitwheel/pitwheel/events"
)

const (
	callsInFlight = 2   // pipelines under way at once
	callsAtOnce   = 256 // calls in one pipeline
	postsAtOnce   = 64  // publishes in one pipeline, of up to postSize messages
	postSize      = 512 // and postBytes each
	postBytes     = 1 << 20

	flushTries = 3
	flushPause = 20 * time.Millisecond // before the second try, twice that before the third
)

// coalescer lets calls that wait at the same time share one flush. A call that
// comes alone is flushed at once.
type coalescer[T any] struct {
	in      chan T
	stop    chan struct{}
	workers sync.WaitGroup
}

// newCoalescer starts workers that each flush up to size calls at a time; close
// ends them.
func newCoalescer[T any](workers, size int, flush func([]T)) *coalescer[T] {
	c := &coalescer[T]{in: make(chan T), stop: make(chan struct{})}
	for range workers {
		c.workers.Go(func() { c.work(size, flush) })
	}
	return c
}

func (c *coalescer[T]) work(size int, flush func([]T)) {
	batch := make([]T, 0, size)
	for {
		select {
		case <-c.stop:
			return
		case first := <-c.in:
			batch = append(batch, first)
		}
		// Whoever the last flush has woken gets a chance to be in this one.
		runtime.Gosched()
		for more := true; more && len(batch) < size; {
			select {
			case next := <-c.in:
				batch = append(batch, next)
			default:
				more = false
			}
		}
		flush(batch)
		clear(batch)
		batch = batch[:0]
	}
}

// add hands a call to the next flush. It returns an error if ctx is over or the
// coalescer closed before a worker has taken it.
func (c *coalescer[T]) add(ctx context.Context, call T) error {
	select {
	case c.in <- call:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-c.stop:
		return events.Errorf(events.CodeShuttingDown, "the store is closed")
	}
}

func (c *coalescer[T]) close() {
	close(c.stop)
	c.workers.Wait()
}

// call is a few commands, of one caller, on their way to Redis and back.
type call struct {
	cmds []*redis.Cmd
	done chan struct{}
}

// do sends one command in the company of others and returns its reply, or
// redis.Nil. If ctx ends first, the command may still be carried out.
func (s *Store) do(ctx context.Context, args ...any) (any, error) {
	cmd := redis.NewCmd(ctx, args...)
	if err := send(ctx, s.calls, cmd); err != nil {
		return nil, err
	}
	reply, err := cmd.Result()
	if errors.Is(err, redis.Nil) {
		return nil, err
	}
	return reply, s.link.explain(err)
}

// send hands commands to a coalescer and waits until they are carried out, one
// after the other, each holding its reply. If it returns an error, ctx ended
// first, and the commands belong to the coalescer.
func send(ctx context.Context, to *coalescer[*call], cmds ...*redis.Cmd) error {
	c := &call{cmds: cmds, done: make(chan struct{})}
	if err := to.add(ctx, c); err != nil {
		return err
	}
	select {
	case <-c.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// flush sends what has gathered as one pipeline.
func (s *Store) flush(calls []*call) {
	cmds := make([]*redis.Cmd, 0, len(calls))
	for _, c := range calls {
		cmds = append(cmds, c.cmds...)
	}
	s.settle(cmds)
	for _, c := range calls {
		close(c.done)
	}
}

// settle carries out commands in one pipeline, and repeats those that the network
// has failed: every command that comes this way may be repeated.
func (s *Store) settle(cmds []*redis.Cmd) {
	for failures := 0; len(cmds) > 0 && failures < flushTries; {
		s.pipeline(cmds)
		var failed bool
		if cmds, failed = s.unsettled(cmds); failed {
			failures++
			time.Sleep(time.Duration(failures) * flushPause)
		}
	}
}

// unsettled returns the commands that are worth another try, and whether Redis
// has failed to answer any of them. A server that does not know a script, because
// it is new or was restarted, is told it in full.
func (s *Store) unsettled(cmds []*redis.Cmd) (again []*redis.Cmd, failed bool) {
	for _, cmd := range cmds {
		err := cmd.Err()
		if err == nil || errors.Is(err, redis.Nil) || errors.Is(err, redis.ErrClosed) {
			continue
		}
		switch reply, ok := replyError(err); {
		case ok && firstWord(reply) == "NOSCRIPT":
			args := cmd.Args()
			args[0], args[1] = "eval", s.scripts.sources[args[1]]
		case ok && !passing(reply):
			continue
		default:
			failed = true
		}
		again = append(again, cmd)
	}
	return again, failed
}

// pipeline sends commands at once. Each caller watches its own context; the
// pipeline ends by the client's time-outs. Each command holds its own error.
func (s *Store) pipeline(cmds []*redis.Cmd) {
	ctx := context.Background()
	if len(cmds) == 1 {
		_ = s.client.Process(ctx, cmds[0])
		return
	}
	pipe := s.client.Pipeline()
	for _, cmd := range cmds {
		cmd.SetErr(nil)
		_ = pipe.Process(ctx, cmd)
	}
	_, _ = pipe.Exec(ctx)
}
