package conn

import (
	"context"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/pitwheel/pitwheel/router/backoff"
)

const (
	maxCalls = 256 // in one pipeline of Do, Run and Send

	attempts   = 3 // of a pipeline that fails
	firstPause = 20 * time.Millisecond
	lastPause  = 40 * time.Millisecond
)

// call is a few commands, of one caller, on their way to Redis and back.
type call struct {
	cmds []*redis.Cmd
	done chan struct{}
}

// Batcher sends the commands of many callers in shared pipelines. A part of the store
// that sends masses of commands has one of its own, so that it delays no other.
type Batcher struct {
	execute func([]*redis.Cmd)
	calls   *Coalescer[*call]
}

// NewBatcher starts a batcher with up to size calls in one pipeline; Close ends it.
func (c *Conn) NewBatcher(size int) *Batcher { return newBatcher(size, c.Execute) }

func newBatcher(size int, execute func([]*redis.Cmd)) *Batcher {
	b := &Batcher{execute: execute}
	b.calls = NewCoalescer(size, b.flush)
	return b
}

// Send waits until commands are carried out, one after the other, each holding its reply
// or error. If Send itself returns an error, ctx ended first or the batcher is closed;
// the commands may still be carried out and must not be touched.
func (b *Batcher) Send(ctx context.Context, cmds ...*redis.Cmd) error {
	c := &call{cmds: cmds, done: make(chan struct{})}
	if err := b.calls.Add(ctx, c); err != nil {
		return err
	}
	select {
	case <-c.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close waits for the pipelines under way and refuses further commands.
func (b *Batcher) Close() { b.calls.Close() }

func (b *Batcher) flush(calls []*call) {
	cmds := make([]*redis.Cmd, 0, len(calls))
	for _, c := range calls {
		cmds = append(cmds, c.cmds...)
	}
	b.execute(cmds)
	for _, c := range calls {
		close(c.done)
	}
}

// Send is [Batcher.Send] in the pipelines that most commands share.
func (c *Conn) Send(ctx context.Context, cmds ...*redis.Cmd) error { return c.calls.Send(ctx, cmds...) }

// Do sends one command in a pipeline with others and returns its reply, or redis.Nil. If
// ctx ends first, the command may still be carried out.
func (c *Conn) Do(ctx context.Context, args ...any) (any, error) { return c.do(ctx, c.calls, args...) }

func (c *Conn) do(ctx context.Context, calls *Batcher, args ...any) (any, error) {
	cmd := redis.NewCmd(ctx, args...)
	if err := calls.Send(ctx, cmd); err != nil {
		return nil, err
	}
	reply, err := cmd.Result()
	if errors.Is(err, redis.Nil) {
		return nil, err
	}
	return reply, c.health.explainCommand(err, args)
}

// Execute carries out commands in one pipeline and repeats those that the network has
// failed: every command passed to it must be safe to repeat.
func (c *Conn) Execute(cmds []*redis.Cmd) {
	pause := backoff.Backoff{Min: firstPause, Max: lastPause}
	for failures := 0; len(cmds) > 0 && failures < attempts; {
		c.pipeline(cmds)
		var failed bool
		if cmds, failed = unfinished(cmds); failed {
			failures++
			pause.Wait(context.Background())
		}
	}
}

// unfinished returns the commands that are worth another attempt, and whether Redis has
// failed to answer any of them. A server that does not know a script, because it is new
// or was restarted, is sent the source.
func unfinished(cmds []*redis.Cmd) (again []*redis.Cmd, failed bool) {
	for _, cmd := range cmds {
		err := cmd.Err()
		if err == nil || errors.Is(err, redis.Nil) || errors.Is(err, redis.ErrClosed) {
			continue
		}
		switch reply, ok := replyError(err); {
		case ok && firstWord(reply) == UnknownScript:
			args := cmd.Args()
			script, ok := args[1].(*Script)
			if !ok || script.source == "" {
				continue
			}
			args[0], args[1] = "eval", script.source
		case ok && !transient(reply):
			continue
		default:
			failed = true
		}
		again = append(again, cmd)
	}
	return again, failed
}

// pipeline sends commands at once. Each caller watches its own context; the pipeline
// ends by the client's timeouts. Each command holds its own error.
func (c *Conn) pipeline(cmds []*redis.Cmd) {
	ctx := context.Background()
	if len(cmds) == 1 {
		_ = c.client.Process(ctx, cmds[0])
		return
	}
	pipe := c.client.Pipeline()
	for _, cmd := range cmds {
		cmd.SetErr(nil)
		_ = pipe.Process(ctx, cmd)
	}
	_, _ = pipe.Exec(ctx)
}
