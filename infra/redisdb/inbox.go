package redisdb

import (
	"context"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"github.com/pitwheel/pitwheel/events"
)

// What a handler has handled is a set of ids for each stretch of time as long as
// InboxTTL. Set members cost a quarter of the memory and time that a key for each
// message with a time to live of its own would cost. Looking into this set and the
// one before reaches back at least InboxTTL; older ones are dropped.

// clockSkew is how far the clocks of two instances may be apart.
const clockSkew = time.Minute

// handled names a message that a handler has handled: an entry of the inbox.
type handled struct {
	handler string
	id      uuid.UUID // of the message
}

func entryOf(handler, id string) handled {
	if !events.IsID(id) {
		id = events.NormalizeID(id)
	}
	return handled{handler, uuid.MustParse(id)} // An id in normal form is a UUID.
}

// inboxKey is the set of a stretch of time; those of one handler are in one slot.
func (s *Store) inboxKey(handler string, stretch int64) string {
	return s.prefix + "inbox:{" + handler + "}:" + strconv.FormatInt(stretch, 10)
}

// stretch numbers the stretches of time.
func (s *Store) stretch(t time.Time) int64 { return t.UnixMilli() / s.inboxTTL.Milliseconds() }

// Seen tells whether the handler has handled the message before, as far back as
// [Config].InboxTTL at least. Calls at the same time share a round trip.
func (s *Store) Seen(ctx context.Context, handler, id string) (bool, error) {
	e := entryOf(handler, id)
	// A note is dropped once it is written, and what was foreseen of it before that. It
	// is looked for first: what is foreseen when there is no note any more is newer
	// than the note. And once more afterwards, for one that came between the two.
	if s.notes.has(e) {
		return true, nil
	}
	seen, known := s.foresight.take(e)
	if s.notes.has(e) {
		return true, nil
	}
	if known {
		return seen, nil
	}
	l := &look{entry: e, done: make(chan struct{})}
	if err := s.looks.add(ctx, l); err != nil {
		return false, err
	}
	select {
	case <-l.done:
		return l.seen, s.link.explain(l.err)
	case <-ctx.Done():
		return false, ctx.Err()
	}
}

// Record remembers that the handler has handled the message. It comes after the
// handler has succeeded: a message whose handler failed is not taken for a
// duplicate.
//
// It does not wait until Redis has confirmed that, which costs no safety: between
// a handler's effect and the record of it there is a gap in any case, and whoever
// crashes in it handles a message again. In this process the message counts as
// seen at once; Close waits until all is written. Only if very many records wait,
// because Redis is slow or away, Record waits for its own.
func (s *Store) Record(ctx context.Context, handler, id string) error {
	e := entryOf(handler, id)
	if s.notes.add(e) {
		return nil
	}
	return s.write(ctx, handler, []uuid.UUID{e.id})
}

// write notes messages as handled. What was foreseen of them is forgotten: the
// question may have been carried out before they were written.
func (s *Store) write(ctx context.Context, handler string, ids []uuid.UUID) error {
	now := s.stretch(time.Now())
	key := s.inboxKey(handler, now)
	cmds := []*redis.Cmd{
		redis.NewCmd(ctx, withMembers("sadd", key, ids)...),
		// Old sets are unlinked, which frees them in the background. The expiry is for
		// a handler that is no longer there to do so.
		redis.NewCmd(ctx, "pexpire", key, 4*s.inboxTTL.Milliseconds()),
		redis.NewCmd(ctx, "unlink", s.inboxKey(handler, now-2)),
	}
	err := send(ctx, s.calls, cmds...)
	s.foresight.forget(handler, ids)
	if err != nil {
		return err
	}
	for _, cmd := range cmds {
		if err := cmd.Err(); err != nil {
			return s.link.explain(err)
		}
	}
	return nil
}

// look is one question about an entry of the inbox.
type look struct {
	entry handled
	seen  bool
	err   error
	done  chan struct{}
}

// lookUp answers questions, all in one pipeline.
func (s *Store) lookUp(looks []*look) {
	byHandler := make(map[string][]*look, 1)
	for _, l := range looks {
		byHandler[l.entry.handler] = append(byHandler[l.entry.handler], l)
	}
	var all []*redis.Cmd
	asked := make(map[string][]*redis.Cmd, len(byHandler))
	for handler, group := range byHandler {
		ids := make([]uuid.UUID, len(group))
		for i, l := range group {
			ids[i] = l.entry.id
		}
		asked[handler] = s.questions(context.Background(), handler, ids)
		all = append(all, asked[handler]...)
	}
	s.settle(all)
	for handler, group := range byHandler {
		seen, err := answers(asked[handler], len(group))
		for i, l := range group {
			if l.err = err; err == nil {
				l.seen = seen[i]
			}
			close(l.done)
		}
	}
}

// questions returns the commands that ask whether a handler has handled messages:
// one for each set that may hold them, of which there are two, and for a moment
// around the beginning of a stretch three.
func (s *Store) questions(ctx context.Context, handler string, ids []uuid.UUID) []*redis.Cmd {
	var cmds []*redis.Cmd
	now := time.Now()
	for n := s.stretch(now.Add(-s.inboxTTL)); n <= s.stretch(now.Add(clockSkew)); n++ {
		cmds = append(cmds, redis.NewCmd(ctx, withMembers("smismember", s.inboxKey(handler, n), ids)...))
	}
	return cmds
}

// withMembers is a command about members of a set: the 16 bytes of each id.
func withMembers(name, key string, ids []uuid.UUID) []any {
	args := make([]any, 2, 2+len(ids))
	args[0], args[1] = name, key
	for i := range ids {
		args = append(args, ids[i][:])
	}
	return args
}

// answers reads the replies to questions about n messages.
func answers(cmds []*redis.Cmd, n int) ([]bool, error) {
	seen := make([]bool, n)
	for _, cmd := range cmds {
		is, err := cmd.Int64Slice()
		if err != nil {
			return nil, err
		}
		if len(is) != n {
			return nil, events.Errorf(events.CodeInternal, "SMISMEMBER answered %d of %d questions", len(is), n)
		}
		for i := range is {
			seen[i] = seen[i] || is[i] == 1
		}
	}
	return seen, nil
}
