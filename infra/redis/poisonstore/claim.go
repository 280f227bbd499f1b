package poisonstore

import (
	"context"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/pitwheel/pitwheel/router/poison"
)

// ClaimPoison claims poison messages for one operation, for lease at most, and returns what
// it found of each.
func (p *PoisonStore) ClaimPoison(ctx context.Context, operation string, lease time.Duration, ids ...string) ([]poison.Claim, error) {
	replies, err := p.runClaim(ctx, operation, max(1, lease.Milliseconds()), ids)
	if err != nil {
		return nil, err
	}
	out := make([]poison.Claim, len(ids))
	for i, n := range replies {
		out[i] = map[int64]poison.Claim{1: poison.Claimed, 0: poison.Held, -1: poison.Missing}[n]
	}
	return out, nil
}

// UnclaimPoison ends claims of an operation. Those of others stay.
func (p *PoisonStore) UnclaimPoison(ctx context.Context, operation string, ids ...string) error {
	_, err := p.runClaim(ctx, operation, 0, ids)
	return err
}

// runClaim runs claim.lua for each message, all in one round trip.
func (p *PoisonStore) runClaim(ctx context.Context, operation string, lease int64, ids []string) ([]int64, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	cmds := make([]*redis.Cmd, len(ids))
	for i, id := range ids {
		args := p.claim.Append(nil, p.messageKey(id), p.claimKey(id))
		cmds[i] = redis.NewCmd(ctx, append(args, operation, lease)...)
	}
	if err := p.conn.Send(ctx, cmds...); err != nil {
		return nil, err
	}
	out := make([]int64, len(ids))
	for i, cmd := range cmds {
		var err error
		if out[i], err = cmd.Int64(); err != nil {
			return nil, p.conn.Explain(err)
		}
	}
	return out, nil
}
