package poisonstore

import (
	"context"

	"github.com/redis/go-redis/v9"
)

// HasPoison reports, in the order of the ids, which poison messages are stored.
func (p *PoisonStore) HasPoison(ctx context.Context, ids ...string) ([]bool, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	cmds := make([]*redis.Cmd, len(ids))
	for i, id := range ids {
		cmds[i] = redis.NewCmd(ctx, "exists", p.messageKey(id))
	}
	if err := p.conn.Send(ctx, cmds...); err != nil {
		return nil, err
	}
	has := make([]bool, len(ids))
	for i, cmd := range cmds {
		n, err := cmd.Int()
		if err != nil {
			return nil, p.conn.Explain(err)
		}
		has[i] = n > 0
	}
	return has, nil
}
