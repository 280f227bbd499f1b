package redisdb

import (
	"context"
	_ "embed"

	"github.com/redis/go-redis/v9"
)

var (
	//go:embed append.lua
	appendLua string
	//go:embed load.lua
	loadLua string
	//go:embed snapshot.lua
	snapshotLua string
	//go:embed checkpoint.lua
	checkpointLua string
	//go:embed commit.lua
	commitLua string
	//go:embed list.lua
	listLua string
	//go:embed claim.lua
	claimLua string
	//go:embed trim.lua
	trimLua string
	//go:embed renew.lua
	renewLua string
	//go:embed release.lua
	releaseLua string
	//go:embed letter_store.lua
	letterStoreLua string
	//go:embed letter_remove.lua
	letterRemoveLua string
	//go:embed letter_edit.lua
	letterEditLua string
)

// scripts are all scripts of the store. Each is documented in its own file.
type scripts struct {
	append, load, snapshot, checkpoint, commit, list, renew, release, claim, trim *redis.Script
	letterStore, letterRemove, letterEdit                                         *redis.Script
}

func newScripts() scripts {
	return scripts{
		append: redis.NewScript(appendLua), load: redis.NewScript(loadLua), snapshot: redis.NewScript(snapshotLua),
		checkpoint: redis.NewScript(checkpointLua), commit: redis.NewScript(commitLua), list: redis.NewScript(listLua),
		renew: redis.NewScript(renewLua), release: redis.NewScript(releaseLua), claim: redis.NewScript(claimLua), trim: redis.NewScript(trimLua),
		letterStore: redis.NewScript(letterStoreLua), letterRemove: redis.NewScript(letterRemoveLua), letterEdit: redis.NewScript(letterEditLua),
	}
}

// loadScripts tells the server, or every master of a cluster, all scripts.
func (s *Store) loadScripts(ctx context.Context) error {
	load := func(ctx context.Context, c redis.Cmdable) error {
		_, err := c.Pipelined(ctx, func(pipe redis.Pipeliner) error {
			for _, src := range []string{appendLua, loadLua, snapshotLua, checkpointLua, commitLua, listLua, renewLua, releaseLua, claimLua, trimLua, letterStoreLua, letterRemoveLua, letterEditLua} {
				pipe.ScriptLoad(ctx, src)
			}
			return nil
		})
		return err
	}
	if cluster, ok := s.client.(*redis.ClusterClient); ok {
		return cluster.ForEachMaster(ctx, func(ctx context.Context, c *redis.Client) error { return load(ctx, c) })
	}
	return load(ctx, s.client)
}

// run runs a script in the company of other commands and returns its reply.
func (s *Store) run(ctx context.Context, script *redis.Script, keys []string, args ...any) (any, error) {
	all := make([]any, 0, 3+len(keys)+len(args))
	all = append(all, "evalsha", script.Hash(), len(keys))
	for _, k := range keys {
		all = append(all, k)
	}
	return s.do(ctx, append(all, args...)...)
}
