// Package conn is the connection that all parts of the store share.
//
// A [Conn] wraps a go-redis client and adds what every part needs:
//
//   - Commands of many callers travel in shared pipelines ([Conn.Do], [Conn.Run],
//     [Conn.Send]; see [Coalescer]). A caller that is alone is not kept waiting.
//   - Commands that the network failed are repeated, so every command sent this way must
//     be safe to repeat. Commands that are not, such as XREADGROUP, go through
//     [Conn.Client].
//   - A [Script] is called by its hash, and sent in full to a server that does not know it.
//   - Errors become errors of the package events ([Conn.Explain]), and [Conn.Ready] reports
//     whether Redis answers and accepts writes.
//   - Keys start with the namespace ([Conn.Key]).
//
// Replies are read with [Text], [Field] and [EntryID].
package conn
