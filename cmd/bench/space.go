package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"slices"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/redis/go-redis/v9"
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

func (b *bench) newSpace() *space {
	var id [6]byte
	_, _ = rand.Read(id[:]) // It never fails, as crypto/rand says.
	return &space{bench: b, name: "bench" + hex.EncodeToString(id[:])}
}

// later registers what to close after the pair.
func (s *space) later(f func()) { s.closers = append(s.closers, f) }

// key names something in Redis.
func (s *space) key(name string) string { return s.name + ":" + name }

// queue names a queue, which will be removed.
func (s *space) queue(name string) string {
	full := s.name + "." + name
	if !slices.Contains(s.queues, full) {
		s.queues = append(s.queues, full)
	}
	return full
}

// exchange names an exchange, which will be removed.
func (s *space) exchange(name string) string {
	full := s.name + "." + name
	if !slices.Contains(s.exchanges, full) {
		s.exchanges = append(s.exchanges, full)
	}
	return full
}

// redisClient returns the space's client.
func (s *space) redisClient() (*redis.Client, error) {
	if s.raw == nil {
		client, err := s.redis()
		if err != nil {
			return nil, err
		}
		s.raw = client
	}
	return s.raw, nil
}

// channel opens a channel on the space's connection.
func (s *space) channel() (*amqp.Channel, error) {
	if s.conn == nil {
		conn, err := amqp.Dial(s.amqpURL)
		if err != nil {
			return nil, err
		}
		s.conn = conn
	}
	return s.conn.Channel()
}

// clean closes everything and removes what was created, also after an interrupt.
func (s *space) clean() error {
	for _, f := range slices.Backward(s.closers) {
		f()
	}
	return errors.Join(s.cleanRabbit(), s.cleanRedis())
}

func (s *space) cleanRabbit() error {
	if s.conn != nil {
		_ = s.conn.Close() // It may be closed already, by an error on it.
		s.conn = nil
	}
	if len(s.queues)+len(s.exchanges) == 0 {
		return nil
	}
	ch, err := s.channel()
	if err != nil {
		return err
	}
	defer func() { _ = s.conn.Close() }()
	var errs []error
	for _, q := range s.queues {
		_, err := ch.QueueDelete(q, false, false, false)
		errs = append(errs, err)
	}
	for _, e := range s.exchanges {
		errs = append(errs, ch.ExchangeDelete(e, false, false))
	}
	return errors.Join(errs...)
}

func (s *space) cleanRedis() error {
	if s.absent[redisDB] != "" {
		return nil
	}
	client, err := s.redisClient()
	if err != nil {
		return err
	}
	defer func() { _ = client.Close() }()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for cursor := uint64(0); ; {
		keys, next, err := client.Scan(ctx, cursor, s.name+":*", 5000).Result()
		if err == nil && len(keys) > 0 {
			err = client.Unlink(ctx, keys...).Err()
		}
		if err != nil || next == 0 {
			return err
		}
		cursor = next
	}
}
