package conn

import (
	"context"
	"crypto/sha1"
	"encoding/hex"
)

// Script is a Lua script. Each package embeds its own and makes them once.
type Script struct {
	source string // sent to a server that does not know it; empty for a loaded script
	loaded string // the source of a loaded script
	hash   []byte
}

// NewScript returns a script with the given source.
func NewScript(source string) *Script {
	sum := sha1.Sum([]byte(source))
	return &Script{source: source, hash: hex.AppendEncode(nil, sum[:])}
}

// UnknownScript is what the error of a server begins with that does not know a script.
const UnknownScript = "NOSCRIPT"

// NewLoadedScript returns a script that is not sent to a server that does not know it, such
// as one that was restarted: running it ends with an error that has [UnknownScript] in it,
// until it is loaded there with [Conn.Load].
func NewLoadedScript(source string) *Script {
	s := NewScript(source)
	s.loaded, s.source = s.source, ""
	return s
}

// Load sends a script of [NewLoadedScript] to every server that writes.
func (c *Conn) Load(ctx context.Context, s *Script) error {
	return c.Explain(c.client.ScriptLoad(ctx, s.loaded).Err())
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
