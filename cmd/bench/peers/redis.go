package main

import (
	"context"
	"time"

	"github.com/redis/go-redis/v9"
)

func redisClient(url string) (*redis.Client, error) {
	options, err := redis.ParseURL(url)
	if err != nil {
		return nil, missingError{"Redis", "PITWHEEL_REDIS_URL"}
	}
	options.Protocol, options.DisableIdentity = 2, true
	return redis.NewClient(options), nil
}

// pingRedis returns a [missingError] if no Redis answers.
func pingRedis(ctx context.Context, url string) error {
	client, err := redisClient(url)
	if err != nil {
		return err
	}
	defer func() { _ = client.Close() }()
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	if client.Ping(ctx).Err() != nil {
		return missingError{"Redis", "PITWHEEL_REDIS_URL"}
	}
	return nil
}

// removeKeys removes all keys that match a pattern.
func removeKeys(ctx context.Context, url, pattern string) error {
	client, err := redisClient(url)
	if err != nil {
		return err
	}
	defer func() { _ = client.Close() }()
	for cursor, more := uint64(0), true; more; more = cursor != 0 {
		var names []string
		if names, cursor, err = client.Scan(ctx, cursor, pattern, 5000).Result(); err != nil {
			return err
		}
		if len(names) == 0 {
			continue
		}
		if err := client.Unlink(ctx, names...).Err(); err != nil {
			return err
		}
	}
	return nil
}
