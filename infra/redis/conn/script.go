package conn

import (
	"context"
	"crypto/sha1"
	"encoding/hex"
)

// Script is a Lua script. Each package embeds its own and makes them once.
type Script struct {
	source string
	hash   []byte
}

// NewScript returns a script with the given source.
func NewScript(source string) *Script {
	sum := sha1.Sum([]byte(source))
	return &Script{source: source, hash: hex.AppendEncode(nil, sum[:])}
}

// MarshalBinary returns the hash by which a server that has seen the script knows it, so
// that a script is an argument of EVALSHA, as it stands in the command for
// [Conn.Execute] to find if the server does not know it.
func (s *Script) MarshalBinary() ([]byte, error) { return s.hash, nil }

// String returns the hash.
func (s *Script) String() string { return string(s.hash) }

// Append adds to args the beginning of a call of the script: the arguments are to follow.
func (s *Script) Append(args []any, keys ...string) []any {
	args = append(args, "evalsha", s, len(keys))
	for _, key := range keys {
		args = append(args, key)
	}
	return args
}

// Run runs a script in a pipeline with other commands and returns its reply.
func (c *Conn) Run(ctx context.Context, script *Script, keys []string, args ...any) (any, error) {
	all := script.Append(make([]any, 0, 3+len(keys)+len(args)), keys...)
	return c.Do(ctx, append(all, args...)...)
}
