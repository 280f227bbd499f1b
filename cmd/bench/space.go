package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"slices"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/redis/go-redis/v9"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router"
)

// space is a namespace on both brokers, and everything that was created in it.
type space struct {
	*bench
	name      string
	queues    []string
	exchanges []string
	closers   []func()
	raw       *redis.Client
	conn      *amqp.Connection
}

// inSpace calls f with a new space, which is removed afterwards, and returns how f ended.
func (b *bench) inSpace(f func(*space)) error {
	var id [6]byte
	_, _ = rand.Read(id[:]) // It never fails, as crypto/rand says.
	s := &space{bench: b, name: "bench" + hex.EncodeToString(id[:])}
	return errors.Join(catch(func() { f(s) }), catch(s.clean))
}

// later registers what to close after the pair.
func (s *space) later(f func()) { s.closers = append(s.closers, f) }

// key names something in Redis.
func (s *space) key(name string) string { return s.name + ":" + name }

// queue names a queue, which will be removed.
func (s *space) queue(name string) string { return s.own(&s.queues, name) }

// ownQueue registers a handler's queue for removal.
func (s *space) ownQueue(queue string) {
	s.queue(queue)
	s.queue(queue + ".poison")
}

// ownQueues registers the queues of handlers for removal.
func (s *space) ownQueues(catalogue *events.Catalogue, handlers []router.Handler) {
	for _, i := range get(router.Describe(catalogue, handlers, nil)) {
		s.ownQueue(cmp.Or(i.Queue, i.Name)) // A projection has no queue but that of its poison messages.
	}
}

// exchange names an exchange, which will be removed.
func (s *space) exchange(name string) string { return s.own(&s.exchanges, name) }

func (s *space) own(list *[]string, name string) string {
	full := s.name + "." + name
	if !slices.Contains(*list, full) {
		*list = append(*list, full)
	}
	return full
}

// redisClient returns the space's client.
func (s *space) redisClient() *redis.Client {
	if s.raw == nil {
		s.raw = get(s.redis())
	}
	return s.raw
}

// onChannel calls f with a channel on the space's connection, and closes it.
func (s *space) onChannel(f func(*amqp.Channel)) {
	if s.conn == nil {
		s.conn = get(amqp.Dial(s.amqpURL))
	}
	ch := get(s.conn.Channel())
	defer func() { _ = ch.Close() }()
	f(ch)
}

// clean closes everything and removes what was created, also after an interrupt.
func (s *space) clean() {
	for _, f := range slices.Backward(s.closers) {
		f()
	}
	check(errors.Join(catch(s.cleanRabbit), catch(s.cleanRedis)))
}

func (s *space) cleanRabbit() {
	if s.conn != nil {
		_ = s.conn.Close() // It may be closed already, by an error on it.
		s.conn = nil
	}
	if len(s.queues)+len(s.exchanges) == 0 {
		return
	}
	s.onChannel(func(ch *amqp.Channel) {
		for _, q := range s.queues {
			get(ch.QueueDelete(q, false, false, false))
		}
		for _, e := range s.exchanges {
			check(ch.ExchangeDelete(e, false, false))
		}
	})
	_ = s.conn.Close()
}

func (s *space) cleanRedis() {
	if s.absent[redisDB] != "" {
		return
	}
	client := s.redisClient()
	defer func() { _ = client.Close() }()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for cursor, more := uint64(0), true; more; more = cursor != 0 {
		var keys []string
		var err error
		keys, cursor, err = client.Scan(ctx, cursor, s.name+":*", 5000).Result()
		check(err)
		if len(keys) > 0 {
			check(client.Unlink(ctx, keys...).Err())
		}
	}
}
