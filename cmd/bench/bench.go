package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/redis/go-redis/v9"
	"golang.org/x/term"
)

// broker is a broker that a row may need.
type broker string

const (
	rabbitMQ broker = "RabbitMQ"
	redisDB  broker = "Redis"
)

// bench is one run of the command.
type bench struct {
	amqpURL  string
	redisURL string
	short    bool
	profiles string
	log      io.Writer // of the router and the drivers
	logger   *slog.Logger
	absent   map[broker]string // why a broker is not available

	started time.Time
	stderr  io.Writer
	live    bool // stderr is a terminal: the progress line is written over
	saying  sync.Mutex
}

func newBench(o options, env func(string) string, stderr io.Writer) *bench {
	b := &bench{
		amqpURL: env("PITWHEEL_AMQP_URL"), redisURL: env("PITWHEEL_REDIS_URL"), short: o.short, profiles: o.profiles,
		log: io.Discard, absent: map[broker]string{}, started: time.Now(), stderr: stderr,
	}
	if b.amqpURL == "" {
		b.amqpURL = "amqp://guest:guest@127.0.0.1:5672/"
	}
	if b.redisURL == "" {
		b.redisURL = "redis://127.0.0.1:6379/0"
	}
	if o.verbose {
		b.log = stderr
	} else if f, ok := stderr.(*os.File); ok {
		b.live = term.IsTerminal(int(f.Fd()))
	}
	b.logger = slog.New(slog.NewTextHandler(b.log, nil))
	return b
}

// count is how many of something a run takes.
func (b *bench) count(full, short int) int {
	if b.short {
		return short
	}
	return full
}

// probe finds out which brokers are available.
func (b *bench) probe(ctx context.Context) {
	about := fmt.Sprintf("%s, %d CPUs", runtime.Version(), runtime.NumCPU())
	// The errors of both clients may repeat the URL and the password in it.
	if conn, err := amqp.DialConfig(b.amqpURL, amqp.Config{Dial: amqp.DefaultDial(3 * time.Second)}); err != nil {
		b.absent[rabbitMQ] = "no RabbitMQ answers at PITWHEEL_AMQP_URL (default: 127.0.0.1:5672)"
	} else {
		about += fmt.Sprintf(", RabbitMQ %v", conn.Properties["version"])
		_ = conn.Close()
	}
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	client, err := b.redis()
	if err == nil {
		defer func() { _ = client.Close() }()
		err = client.Ping(ctx).Err()
	}
	if err != nil {
		b.absent[redisDB] = "no Redis answers at PITWHEEL_REDIS_URL (default: 127.0.0.1:6379)"
	} else if info := client.InfoMap(ctx, "server").Val(); info != nil {
		about += ", Redis " + info["Server"]["redis_version"]
	}
	_, _ = fmt.Fprintln(b.stderr, about)
}

// missing returns why a row cannot be measured; empty if it can.
func (b *bench) missing(r row) string {
	for _, n := range r.needs {
		if why := b.absent[n]; why != "" {
			return why
		}
	}
	return ""
}

// redis returns a raw client.
func (b *bench) redis() (*redis.Client, error) {
	opts, err := redis.ParseURL(b.redisURL)
	if err != nil {
		return nil, err
	}
	opts.Protocol, opts.DisableIdentity, opts.PoolSize = 2, true, 64
	opts.ReadTimeout = 30 * time.Second
	return redis.NewClient(opts), nil
}

// progress reports what is being measured.
func (b *bench) progress(format string, args ...any) {
	b.saying.Lock()
	defer b.saying.Unlock()
	line := fmt.Sprintf("%5.1f s  %s", time.Since(b.started).Seconds(), fmt.Sprintf(format, args...))
	if b.live {
		_, _ = fmt.Fprint(b.stderr, "\r\x1b[K"+line)
		return
	}
	_, _ = fmt.Fprintln(b.stderr, line)
}

// finished reports how a row ended.
func (b *bench) finished(r row, missing string, err error, took time.Duration) {
	word := fmt.Sprintf("done in %.1f s", took.Seconds())
	switch {
	case missing != "":
		word = "skipped: " + missing
	case err != nil:
		word = "failed: " + err.Error()
	}
	b.progress("%s  %s", r.name, word)
	if b.live {
		_, _ = fmt.Fprintln(b.stderr)
	}
}

// profile writes a CPU profile of Pitwheel's last run of a row, if asked to, until
// the function it returns is called.
func (b *bench) profile(r row, as role, last bool) func() {
	if b.profiles == "" || as != pitwheel || !last {
		return func() {}
	}
	f, err := os.Create(filepath.Join(b.profiles, r.name+".pprof"))
	if err == nil {
		err = pprof.StartCPUProfile(f)
	}
	if err != nil {
		b.progress("%s  no profile: %v", r.name, err)
		return func() {}
	}
	return func() {
		pprof.StopCPUProfile()
		_ = f.Close() // An incomplete profile is noticed when it is read.
	}
}
