// Package replays keeps how far replays of history have come, so that one that was
// interrupted goes on where it was.
package replays

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/redis/conn"
)

// TTL is how long the progress of an interrupted replay is kept.
const TTL = 30 * 24 * time.Hour

// Progress is how far a replay has come.
type Progress struct {
	// ID is that of the replay: under it each event is handled once.
	ID string `json:"id"`
	// At is how far the log was read, To where the replay ends.
	At events.Cursor `json:"at"`
	To events.Cursor `json:"to"`
}

// Replays keeps the progress of replays by their names. It is safe for concurrent use.
type Replays struct{ conn *conn.Conn }

// New returns the progress kept on a connection.
func New(c *conn.Conn) *Replays { return &Replays{c} }

func (r *Replays) key(name string) string { return r.conn.Key("replay:" + name) }

// ReplayProgress returns the progress of a replay; one without an ID if there is none.
func (r *Replays) ReplayProgress(ctx context.Context, name string) (p Progress, err error) {
	reply, err := r.conn.Do(ctx, "get", r.key(name))
	if errors.Is(err, redis.Nil) {
		return p, nil
	}
	if err != nil {
		return p, err
	}
	if err := json.Unmarshal([]byte(conn.Text(reply)), &p); err != nil {
		return p, events.Errorf(events.CodeUndecodable, "the progress of the replay %s cannot be read: %w", name, err).
			WithHint("begin it anew with --restart")
	}
	return p, nil
}

// SaveReplayProgress replaces the progress of a replay.
func (r *Replays) SaveReplayProgress(ctx context.Context, name string, p Progress) error {
	text, err := json.Marshal(p)
	if err != nil {
		return err
	}
	_, err = r.conn.Do(ctx, "set", r.key(name), text, "px", TTL.Milliseconds())
	return err
}

// EndReplay forgets the progress of a replay.
func (r *Replays) EndReplay(ctx context.Context, name string) error {
	_, err := r.conn.Do(ctx, "del", r.key(name))
	return err
}
