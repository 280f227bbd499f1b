package redisdb

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	heartbeat  = time.Second
	aliveTTL   = 4 * time.Second // after this without heartbeat a consumer is suspect
	suspectFor = 3 * time.Second // for so long, before its messages are taken over
	farewell   = time.Hour       // how long a consumer's good-bye is remembered

	trimEvery = 10 * time.Second // streams are trimmed, or sooner,
	trimAfter = 20_000           // after so many acknowledgements
)

// leftMark is what a consumer that ended says in its place of life.
const leftMark = "left"

// caretaker looks after a subscription beside the reading: it says that its
// consumer lives, finds consumers that do not, and trims streams.
type caretaker struct {
	sub     *subscription
	leading atomic.Bool // whether this instance alone may consume

	mu       sync.Mutex
	names    []string                // of our consumers, the reading one first
	suspects map[[2]string]time.Time // stream and consumer → since when
	dead     map[string][]string     // stream → consumers to take over

	stop context.CancelFunc
	done chan struct{}
}

func newCaretaker(sub *subscription) *caretaker {
	ctx, stop := context.WithCancel(context.Background())
	c := &caretaker{sub: sub, suspects: map[[2]string]time.Time{}, dead: map[string][]string{}, stop: stop, done: make(chan struct{})}
	go c.work(ctx)
	return c
}

func (c *caretaker) work(ctx context.Context) {
	defer close(c.done)
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	trimmed, at := int64(0), time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-beat.C:
		}
		if err := c.look(ctx); err != nil {
			c.forgive()
			continue
		}
		acked := c.sub.acks.acked.Load()
		if n := acked - trimmed; n >= trimAfter || n > 0 && time.Since(at) >= trimEvery {
			trimmed, at = acked, time.Now()
			c.trim(ctx)
		}
	}
}

// begin starts a term: a new consumer lives, and what others left is found before
// anything new is read.
func (c *caretaker) begin(ctx context.Context, t *term) {
	c.mu.Lock()
	before := c.names
	c.names = []string{t.consumer}
	c.mu.Unlock()
	c.leave(before)
	if !c.sub.of.cfg.Ordered {
		_ = c.look(ctx) // What is found later is taken over later. A failure shows in the next read.
		return
	}
	c.sub.persist(ctx, func() error { return c.look(ctx) })
	// The one who led before may have had a read under way when it lost the lead.
	for _, stream := range c.sub.streams {
		if len(c.gone(stream)) > 0 {
			select {
			case <-ctx.Done():
			case <-time.After(longestBlock + longestBlock/5):
			}
			return
		}
	}
}

// adopt adds a consumer to ours, disown takes it away.
func (c *caretaker) adopt(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.names = append(slices.Clip(c.names), name)
}

func (c *caretaker) disown(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.names = slices.DeleteFunc(slices.Clone(c.names), func(n string) bool { return n == name })
}

// abandon takes away consumers of a stream that have got entries which we have not,
// since a reply was lost. They are to be taken over like those of others.
func (c *caretaker) abandon(stream string, names []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.names = slices.DeleteFunc(slices.Clone(c.names), func(n string) bool { return slices.Contains(names, n) })
	c.dead[stream] = slices.Concat(c.dead[stream], names)
}

func (c *caretaker) ours() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.names
}

// look says that our consumers live, and looks for those of others that do not. An
// heir that has nothing left is no longer ours, and is then buried like any other.
func (c *caretaker) look(ctx context.Context) error {
	ours := c.ours()
	if len(ours) == 0 {
		return nil // Standing by.
	}
	for _, name := range ours {
		if _, err := c.sub.store.do(ctx, "set", c.sub.store.aliveKey(name), "", "px", aliveTTL.Milliseconds()); err != nil {
			return err
		}
	}
	for _, stream := range c.sub.streams {
		reply, err := c.sub.store.do(ctx, "xinfo", "consumers", stream, c.sub.of.cfg.Queue)
		if err != nil {
			return err
		}
		list, _ := reply.([]any)
		for _, entry := range list {
			fields, _ := entry.([]any)
			name, ok := fieldOf(fields, "name")
			if at := slices.Index(c.ours(), name); !ok || at == 0 {
				continue
			} else if at > 0 {
				if pending, _ := valueOf(fields, "pending"); pending != int64(0) {
					continue
				}
				c.disown(name)
			}
			if err := c.judge(ctx, stream, name); err != nil {
				return err
			}
		}
	}
	return nil
}

// judge decides whether another consumer is gone: it said good-bye, or gave no
// sign of life for long enough, or may not consume since we lead. One that was taken
// for gone and lives after all is left alone.
func (c *caretaker) judge(ctx context.Context, stream, consumer string) error {
	says, err := c.sub.store.do(ctx, "get", c.sub.store.aliveKey(consumer))
	silent := errors.Is(err, redis.Nil)
	if err != nil && !silent {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !silent && says != leftMark && !c.leading.Load() {
		c.spare(stream, consumer)
		return nil
	}
	key := [2]string{stream, consumer}
	since, known := c.suspects[key]
	if !known {
		since = time.Now()
		c.suspects[key] = since
	}
	if !silent || c.leading.Load() || time.Since(since) >= suspectFor {
		if !slices.Contains(c.dead[stream], consumer) {
			c.dead[stream] = append(slices.Clip(c.dead[stream]), consumer)
		}
	}
	return nil
}

// forgive drops all suspicion: when Redis was away, nobody could give a sign. Who
// leads does not go by signs, and must take over all before it reads on.
func (c *caretaker) forgive() {
	if c.leading.Load() {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.suspects)
	clear(c.dead)
}

// gone returns the consumers of a stream whose messages are to be taken over.
func (c *caretaker) gone(stream string) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.dead[stream]
}

// buried notes that nothing of a consumer is left.
func (c *caretaker) buried(stream, consumer string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.spare(stream, consumer)
}

// spare drops all suspicion of a consumer. It is called with mu held.
func (c *caretaker) spare(stream, consumer string) {
	delete(c.suspects, [2]string{stream, consumer})
	c.dead[stream] = slices.DeleteFunc(slices.Clone(c.dead[stream]), func(n string) bool { return n == consumer })
}

// trim removes what all queues have done with. A failure is tried again later.
func (c *caretaker) trim(ctx context.Context) {
	for _, stream := range c.sub.streams {
		_, _ = c.sub.store.run(ctx, c.sub.store.scripts.trim, []string{stream})
	}
}

// close ends the caretaker and says good-bye, so that others need not wait for
// what our consumer could not finish.
func (c *caretaker) close() {
	c.stop()
	<-c.done
	c.leave(c.names)
}

func (c *caretaker) leave(names []string) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	for _, name := range names {
		// If it fails, the consumer is found dead a little later.
		_, _ = c.sub.store.do(ctx, "set", c.sub.store.aliveKey(name), leftMark, "px", farewell.Milliseconds())
	}
}
