package main

import (
	"context"
	"errors"
	"math"
	"net/http"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/app"
	"github.com/pitwheel/pitwheel/infra/redis"
	"github.com/pitwheel/pitwheel/infra/settings"
	"github.com/pitwheel/pitwheel/router"
	"github.com/pitwheel/pitwheel/router/routertest/sample"
)

// The sample application as its users reach it: over HTTP, with every handler running.

// setup is how an application is run.
type setup string

const (
	onRabbit   setup = "rabbit"   // commands and reactions over RabbitMQ, the log in Redis
	onRedis    setup = "redis"    // everything over Redis
	onEmbedded setup = "embedded" // everything over a Redis in process, as dev does it
)

// httpRates are the rates at which latency is measured, in commands a second.
func httpRates() []float64 { return []float64{1_000, 3_000} }

// overHTTP is a row of commands that come by HTTP. The limit is HTTP alone: commands that
// the same server refuses as invalid.
func overHTTP(how setup) func(context.Context, *space) contest {
	return func(_ context.Context, s *space) contest {
		n := s.count(20_000, 2_000)
		return contest{
			limit: {{"", func(ctx context.Context) []float64 {
				return s.serveHTTP(ctx, how, func(ctx context.Context, h *httpApp) []float64 {
					request := h.post("/v1/commands/CREATE_USER?wait=10s", `{"email":"nobody","name":"Ada Lovelace"}`)
					rate := h.flood(ctx, 2*n, request, http.StatusUnprocessableEntity)
					out := []float64{rate, rate}
					for range httpRates() {
						out = append(out, math.NaN(), math.NaN())
					}
					return out
				})
			}}},
			pitwheel: {{"", func(ctx context.Context) []float64 {
				return s.serveHTTP(ctx, how, func(ctx context.Context, h *httpApp) []float64 {
					return h.measure(ctx, n, s.count(10_000, 600))
				})
			}}},
		}
	}
}

// httpFigures are the figures of a row that [overHTTP] measures.
func httpFigures(how setup, over string) []figure {
	name := "http-" + string(how)
	return []figure{
		{name: name, work: "HTTP with wait, command to outcome, every handler running, " + over + "; limit: HTTP alone", unit: "commands/s", goals: []goal{{"", 8_000}}},
		{name: name + "-nowait", work: "HTTP without wait, " + over, unit: "commands/s"},
		{name: name + "-1000-p50", work: "HTTP with wait, " + over + ", at 1,000 a second, median", unit: "ms", least: true},
		{name: name + "-1000-p99", work: "HTTP with wait, " + over + ", at 1,000 a second, 99th percentile", unit: "ms", least: true},
		{name: name + "-3000-p50", work: "HTTP with wait, " + over + ", at 3,000 a second, median", unit: "ms", least: true},
		{name: name + "-3000-p99", work: "HTTP with wait, " + over + ", at 3,000 a second, 99th percentile", unit: "ms", least: true, goals: []goal{{"", 10}}},
	}
}

// httpApp is a running application and a client of it.
type httpApp struct {
	*effects
	*httpClient
}

// serveHTTP runs the sample application, assembled as every application is, and
// measures once all of it consumes and is warm.
func (s *space) serveHTTP(ctx context.Context, how setup, measure func(context.Context, *httpApp) []float64) (values []float64) {
	h := &httpApp{effects: &effects{}}
	handlers := sample.Handlers(h.welcome)
	flags := map[string]string{"namespace": s.name, "http_addr": "127.0.0.1:0", "dev_redis_addr": "127.0.0.1:0"}
	if how != onEmbedded {
		flags["redis_url"] = s.redisURL
	}
	if how == onRabbit {
		flags["amqp_url"] = s.amqpURL
		s.exchange("user.events")
		s.exchange("user.commands")
		s.ownQueues(sample.Catalogue(), handlers)
	}
	a := get(app.New(app.Application{
		Name: "bench", Domains: []events.Domain{sample.Register},
		Handlers: func(app.Services) []router.Handler { return handlers },
	}, settings.Source{Flags: flags}, app.Options{Dev: how == onEmbedded, Log: s.log}))
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		ended <- a.Run(ctx)
		close(ended)
	}()
	var err error
	select {
	case <-a.Running():
		err = catch(func() {
			url := s.redisURL
			if how == onEmbedded {
				url = "redis://" + a.Dev().Redis
			}
			h.store = get(redis.Open(ctx, redis.Config{URL: url, Namespace: s.name, ReadOnly: true, Logger: s.logger}))
			defer func() { _ = h.store.Close() }()
			h.httpClient = dialHTTP(ctx, a.Addr(), senders)
			h.create(ctx, 300, "?wait=10s", http.StatusOK)
			values = measure(ctx, h)
		})
	case err = <-ended:
	}
	cancel()
	check(errors.Join(err, <-ended))
	return values
}

// measure measures throughput with n commands, and latency with as many as paced says at
// each rate.
func (h *httpApp) measure(ctx context.Context, n, paced int) []float64 {
	out := []float64{h.create(ctx, n, "?wait=10s", http.StatusOK), h.create(ctx, n, "", http.StatusAccepted)}
	request := h.creation("?wait=10s")
	for _, rate := range httpRates() {
		took := timings(ctx, rate, paced, func(ctx context.Context) error { return h.do(ctx, request, http.StatusOK) })
		h.sent += int64(paced)
		h.drained(ctx)
		out = append(out, percentile(took, 50), percentile(took, 99))
	}
	return out
}

// creation is a request for a new user, each time that it is sent: the server derives the
// user's id from that of the command, which it makes up.
func (h *httpApp) creation(query string) []byte {
	return h.post("/v1/commands/CREATE_USER"+query, `{"email":"ada@example.com","name":"Ada Lovelace"}`)
}

// create sends n commands as fast as they are answered, waits for their effects, and returns
// how many a second were answered.
func (h *httpApp) create(ctx context.Context, n int, query string, want int) float64 {
	h.sent += int64(n)
	rate := h.flood(ctx, n, h.creation(query), want)
	h.drained(ctx)
	return rate
}

// flood sends a request n times, as fast as they are answered.
func (h *httpApp) flood(ctx context.Context, n int, request []byte, want int) float64 {
	return concurrently(ctx, senders, n, func(ctx context.Context, _, _, _ int) error { return h.do(ctx, request, want) })
}
