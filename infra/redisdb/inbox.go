package redisdb

import (
	"context"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/pitwheel/pitwheel/events"
)

// Seen tells whether the handler has handled the message before, as far back as
// [Config].InboxTTL. Calls at the same time share one command.
func (s *Store) Seen(ctx context.Context, handler, id string) (bool, error) {
	key := s.inboxKey(handler, id)
	if s.notes.has(key) {
		return true, nil
	}
	l := &look{handler: handler, key: key, done: make(chan struct{})}
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
// seen at once; Close waits until all is written.
func (s *Store) Record(ctx context.Context, handler, id string) error {
	key := s.inboxKey(handler, id)
	if s.notes.add(handler, key) {
		return nil
	}
	_, err := s.do(ctx, "set", key, "", "px", s.inboxTTL.Milliseconds())
	return err
}

// look is one question for a key of the inbox.
type look struct {
	handler, key string
	seen         bool
	err          error
	done         chan struct{}
}

// lookUp answers questions: one command for each handler, since its keys are in
// one slot, and all of them in one pipeline.
func (s *Store) lookUp(looks []*look) {
	byHandler := make(map[string][]*look, 1)
	for _, l := range looks {
		byHandler[l.handler] = append(byHandler[l.handler], l)
	}
	cmds := make([]*redis.Cmd, 0, len(byHandler))
	asked := make([][]*look, 0, len(byHandler))
	for _, group := range byHandler {
		args := make([]any, 1, 1+len(group))
		args[0] = "mget"
		for _, l := range group {
			args = append(args, l.key)
		}
		cmds, asked = append(cmds, redis.NewCmd(context.Background(), args...)), append(asked, group)
	}
	s.settle(cmds)
	for i, group := range asked {
		answers, err := cmds[i].Slice()
		if err == nil && len(answers) != len(group) {
			err = events.Errorf(events.CodeInternal, "MGET answered %d of %d keys", len(answers), len(group))
		}
		for j, l := range group {
			if l.err = err; err == nil {
				l.seen = answers[j] != nil
			}
			close(l.done)
		}
	}
}

// notesMost bounds the notes that wait to be written.
const notesMost = 1 << 16

// notes are records of the inbox on their way to Redis.
type notes struct {
	store *Store

	mu      sync.RWMutex
	fresh   map[string][]string // by handler, not yet sent
	waiting map[string]struct{} // everything that Redis has not confirmed

	some chan struct{}
	stop chan struct{}
	done chan struct{}
}

func newNotes(s *Store) *notes {
	n := &notes{
		store: s, fresh: map[string][]string{}, waiting: map[string]struct{}{},
		some: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{}),
	}
	go n.work()
	return n
}

func (n *notes) has(key string) bool {
	n.mu.RLock()
	defer n.mu.RUnlock()
	_, ok := n.waiting[key]
	return ok
}

// add takes a note, unless there are too many already.
func (n *notes) add(handler, key string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.waiting) >= notesMost {
		return false
	}
	n.fresh[handler] = append(n.fresh[handler], key)
	n.waiting[key] = struct{}{}
	offer(n.some)
	return true
}

func (n *notes) work() {
	defer close(n.done)
	for {
		select {
		case <-n.some:
		case <-n.stop:
			return
		}
		if n.write(context.Background()) != nil {
			select {
			case <-time.After(maxRetry / 4):
				offer(n.some)
			case <-n.stop:
				return
			}
		}
	}
}

// write sends what waits. What fails waits again.
func (n *notes) write(ctx context.Context) error {
	n.mu.Lock()
	fresh := n.fresh
	n.fresh = make(map[string][]string, len(fresh))
	n.mu.Unlock()
	var failed error
	for handler, keys := range fresh {
		for len(keys) > 0 {
			some := keys[:min(len(keys), callsAtOnce)]
			if _, err := n.store.run(ctx, n.store.scripts.record, some, n.store.inboxTTL.Milliseconds()); err != nil {
				failed = err
				break
			}
			keys = keys[len(some):]
			n.mu.Lock()
			for _, key := range some {
				delete(n.waiting, key)
			}
			n.mu.Unlock()
		}
		if len(keys) > 0 {
			n.mu.Lock()
			n.fresh[handler] = append(keys, n.fresh[handler]...)
			n.mu.Unlock()
		}
	}
	return failed
}

// close writes what is left, for a second at most.
func (n *notes) close() {
	close(n.stop)
	<-n.done
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = n.write(ctx) // What is lost makes a duplicate possible, as at a crash.
}
