package cli

import (
	"strings"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/redis/go-redis/v9"

	"github.com/pitwheel/pitwheel/infra/brokertest"
	"github.com/pitwheel/pitwheel/infra/programtest"
)

// TestRedis_Outages has Redis killed, out of memory, without its consumer groups
// and without anything, one after the other, under a service that recovers by itself.
func TestRedis_Outages(t *testing.T) {
	if testing.Short() {
		t.Skip("an outage takes some seconds: run without -short")
	}
	t.Parallel()
	t.Run("beside RabbitMQ", func(t *testing.T) {
		t.Parallel()
		server := brokertest.StartRedis(t)
		b := brokersAt(t, brokertest.AMQP(t), server.URL())
		b.clean(t)
		redisOutages(t, b, server)
	})
	t.Run("alone", func(t *testing.T) {
		t.Parallel()
		server := brokertest.StartRedis(t)
		redisOutages(t, brokersAt(t, "", server.URL()), server)
	})
}

func redisOutages(t *testing.T, b *brokers, server *brokertest.RedisServer) {
	client := redis.NewClient(&redis.Options{Addr: server.Addr()})
	t.Cleanup(func() { _ = client.Close() })
	limit := func(bytes string) func() {
		return func() {
			if err := client.ConfigSet(t.Context(), "maxmemory", bytes).Err(); err != nil {
				t.Fatal(err)
			}
		}
	}
	p := b.launch(t)
	published := func() <-chan amqp.Delivery { return nil }
	if b.amqpURL != "" {
		published = b.recorder(t)
	}
	outcomes := p.campaign(t, "before", 20, time.Millisecond)()
	for _, trouble := range []struct {
		name         string
		begins, ends func()
		shows        func(t *testing.T, broker string)
	}{
		{"killed", server.Kill, server.Start, p.showsLoss},
		{"short-of-memory", limit("1"), limit("0"), p.showsBlock},
		{"killed-again", server.Kill, server.Start, p.showsLoss},
	} {
		finish := p.campaign(t, trouble.name, 100, 20*time.Millisecond)
		settled := p.boundedLog(t, trouble.name)
		trouble.begins()
		trouble.shows(t, "redis")
		<-time.After(2 * time.Second) // It shall last longer than one attempt.
		trouble.shows(t, "redis")
		trouble.ends()
		outcomes = append(outcomes, p.worksAgain(t, trouble.name))
		outcomes = append(outcomes, finish()...)
		settled()
	}
	b.checkEverything(t, outcomes, published())

	if n := destroyGroups(t, client); (n > 0) != (b.amqpURL == "") {
		t.Errorf("there were %d groups", n)
	}
	settled := p.boundedLog(t, "groups destroyed")
	outcomes = append(outcomes, p.worksAgain(t, "destroyed"))
	b.checkEverything(t, outcomes, nil)
	settled()

	// All is lost with everything that Redis had, but the service lives on.
	settled = p.boundedLog(t, "flushed")
	if err := client.FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	mails := b.mails.Count()
	p.worksAgain(t, "flushed")
	programtest.Eventually(t, "the mail and the row of the only user", func() bool {
		rows := pitwheel(t, b.environ, "projection", "rows", "user-directory", "-o", "jsonl").ok(t).stdout
		return b.mails.Count() > mails && strings.Count(rows, "\n") == 1
	})
	settled()
	if code := p.Stop(t); code != exitOK {
		t.Errorf("the exit code is %d", code)
	}
}

// destroyGroups destroys every consumer group there is and returns how many.
func destroyGroups(t *testing.T, client *redis.Client) int {
	t.Helper()
	n := 0
	keys := client.ScanType(t.Context(), 0, "*", 1000, "stream").Iterator()
	for keys.Next(t.Context()) {
		groups, err := client.XInfoGroups(t.Context(), keys.Val()).Result()
		if err != nil {
			t.Fatal(err)
		}
		for _, g := range groups {
			if err := client.XGroupDestroy(t.Context(), keys.Val(), g.Name).Err(); err != nil {
				t.Fatal(err)
			}
			n++
		}
	}
	if err := keys.Err(); err != nil {
		t.Fatal(err)
	}
	return n
}
