package redisdb

import (
	"context"
	"crypto/sha1"
	_ "embed"
	"encoding/hex"
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
	//go:embed post.lua
	postLua string
	//go:embed delay.lua
	delayLua string
	//go:embed due.lua
	dueLua string
	//go:embed park.lua
	parkLua string
	//go:embed park_block.lua
	parkBlockLua string
	//go:embed park_release.lua
	parkReleaseLua string
	//go:embed park_done.lua
	parkDoneLua string
)

// script is a script and its hash, by which a server that has seen it knows it.
type script struct{ hash string }

// Hash is how a server that knows the script calls it.
func (s *script) Hash() string { return s.hash }

// scripts are all scripts of the store. Each is documented in its own file.
type scripts struct {
	append, load, snapshot, checkpoint, commit, list, renew, release, claim, trim *script
	letterStore, letterRemove, letterEdit                                         *script
	post, delay, due                                                              *script
	park, parkBlock, parkRelease, parkDone                                        *script

	sources map[any]string // by hash
}

func newScripts() scripts {
	sources := map[any]string{}
	add := func(src string) *script {
		sum := sha1.Sum([]byte(src))
		hash := hex.EncodeToString(sum[:])
		sources[hash] = src
		return &script{hash: hash}
	}
	return scripts{
		append: add(appendLua), load: add(loadLua), snapshot: add(snapshotLua),
		checkpoint: add(checkpointLua), commit: add(commitLua), list: add(listLua),
		renew: add(renewLua), release: add(releaseLua), claim: add(claimLua), trim: add(trimLua),
		letterStore: add(letterStoreLua), letterRemove: add(letterRemoveLua), letterEdit: add(letterEditLua),
		post: add(postLua), delay: add(delayLua), due: add(dueLua),
		park: add(parkLua), parkBlock: add(parkBlockLua), parkRelease: add(parkReleaseLua), parkDone: add(parkDoneLua),
		sources: sources,
	}
}

// run runs a script in the company of other commands and returns its reply.
func (s *Store) run(ctx context.Context, script *script, keys []string, args ...any) (any, error) {
	all := make([]any, 0, 3+len(keys)+len(args))
	all = append(all, "evalsha", script.hash, len(keys))
	for _, k := range keys {
		all = append(all, k)
	}
	return s.do(ctx, append(all, args...)...)
}
