package conn

import (
	"context"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router/backoff"
)

// What has to be durable before it leaves the store goes through [Conn.RunDurably] and
// [Conn.ReadDurably]. How that is known depends on the server:
//
//   - appendfsync always: Redis sends no reply, neither to a writer nor to a reader, before
//     what it has executed until then is on disk. Nothing is to be done.
//   - WAITAOF (Redis 7.2) or WAIT (a replica) wait until everything is on disk, or on the
//     replica, that was executed before the connection's own last write. AOF and replication
//     stream have one order. So a small write goes between the commands and the wait: then
//     it covers all that these have written, or read of what others have written.
//
// All of this travels on one connection, which belongs to one life of one server: if Redis
// dies and comes back without its last second, or a replica takes over that had not
// received everything, the connection is lost with it, and what was replied counts as
// unknown. A wait on another connection would be told that all is well.

// confirmation is how Redis confirms that something is durable.
type confirmation int32

const (
	confirmNothing confirmation = iota // a reply is confirmation enough, or none is wanted
	confirmDisk                        // WAITAOF
	confirmReplica                     // WAIT
)

const (
	// maxDurable is how many calls share one wait.
	maxDurable = 4096
	// maxConfirm bounds one wait, together with the client's timeout.
	maxConfirm  = 2 * time.Second
	touchExpiry = time.Minute // of the key of the small write
)

// confirming returns the commands that follow others on their connection.
func (c *Conn) confirming(how confirmation) []*redis.Cmd {
	ctx, ms := context.Background(), c.confirmWithin.Milliseconds()
	touch := redis.NewCmd(ctx, "set", c.Key("touch"), "", "px", touchExpiry.Milliseconds())
	if how == confirmDisk {
		return []*redis.Cmd{touch, redis.NewCmd(ctx, "waitaof", 1, 0, ms)}
	}
	return []*redis.Cmd{touch, redis.NewCmd(ctx, "wait", 1, ms)}
}

// confirmed returns why Redis has not confirmed what was before the given commands.
func (c *Conn) confirmed(cmds []*redis.Cmd) error {
	for _, cmd := range cmds {
		if err := cmd.Err(); err != nil {
			err = c.Explain(err)
			return events.Errorf(events.CodeUnavailable, "Redis has not confirmed that it is durable: %w", err).MayRetry()
		}
	}
	n := cmds[len(cmds)-1].Val()
	if list, ok := n.([]any); ok && len(list) > 0 { // WAITAOF: the disk, the replicas.
		n = list[0]
	}
	if n, _ := n.(int64); n < 1 {
		return events.Errorf(events.CodeUnavailable, "Redis at %s has it neither on disk nor on a replica after %s: whether it stays is not known", c.health.addrs, c.confirmWithin).MayRetry().
			WithHint("check that a replica is connected (INFO replication), and the disk of the append-only file")
	}
	return nil
}

// RunDurably is [Conn.Run], and returns when what the script has written, and what it has
// read, is as durable as [Config].Durable asks for. After an error with the code UNAVAILABLE
// it may be written and not be durable.
func (c *Conn) RunDurably(ctx context.Context, script *Script, keys []string, args ...any) (any, error) {
	all := script.Append(make([]any, 0, 3+len(keys)+len(args)), keys...)
	return c.do(ctx, c.durableCalls(), append(all, args...)...)
}

// SendDurably is [Conn.Send] with the guarantee of [Conn.RunDurably].
func (c *Conn) SendDurably(ctx context.Context, cmds ...*redis.Cmd) error {
	return c.durableCalls().Send(ctx, cmds...)
}

// Confirms reports whether a reply alone does not say that something is durable.
func (c *Conn) Confirms() bool { return c.confirm.Load() != int32(confirmNothing) }

func (c *Conn) durableCalls() *Batcher {
	if c.Confirms() {
		return c.durable
	}
	return c.calls
}

// executeDurably is [Conn.Execute], and a command has its reply only once what it has written
// and read is durable. One that was carried out without that is not repeated here.
func (c *Conn) executeDurably(cmds []*redis.Cmd) {
	pause := backoff.Backoff{Min: firstPause, Max: lastPause}
	for failures := 0; len(cmds) > 0 && failures < attempts; {
		confirming := c.confirming(confirmation(c.confirm.Load()))
		c.pipeline(append(cmds[:len(cmds):len(cmds)], confirming...))
		again, failed := unfinished(cmds)
		if err := c.confirmed(confirming); err != nil {
			for _, cmd := range cmds {
				if cmd.Err() == nil || errors.Is(cmd.Err(), redis.Nil) {
					cmd.SetErr(err)
				}
			}
		}
		if cmds = again; failed {
			failures++
			pause.Wait(context.Background())
		}
	}
}

// ReadDurably runs a command that reads, and may block, by itself and once. If it has found
// something, it returns when that is as durable as [Config].Durable asks for. The command
// holds its reply or error, also the error that what it has read is not durable.
func (c *Conn) ReadDurably(ctx context.Context, cmd *redis.SliceCmd) {
	client, single := c.client.(*redis.Client)
	if !single || !c.Confirms() {
		_ = c.client.Process(ctx, cmd)
		return
	}
	one := client.Conn()
	defer func() { _ = one.Close() }() // It goes back into the pool.
	if one.Process(ctx, cmd) != nil || len(cmd.Val()) == 0 {
		return
	}
	confirming := c.confirming(confirmation(c.confirm.Load()))
	pipe := one.Pipeline()
	for _, next := range confirming {
		_ = pipe.Process(ctx, next)
	}
	_, _ = pipe.Exec(ctx) // Each command holds its own error.
	if err := c.confirmed(confirming); err != nil {
		cmd.SetVal(nil)
		cmd.SetErr(err)
	}
}
