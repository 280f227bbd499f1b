package main

import (
	"context"
	"fmt"
	"math"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/pitwheel/pitwheel/events"
)

// redisBenchmark runs a command n times with redis-benchmark, and returns how many
// a second it did. Without that program, or where it cannot reach the server as we
// do, the value is NaN.
func (s *space) redisBenchmark(ctx context.Context, n int, command ...string) float64 {
	opts := get(redis.ParseURL(s.redisURL))
	program, _ := exec.LookPath("redis-benchmark") // Empty if there is none.
	if program == "" || opts.TLSConfig != nil || opts.Username != "" || opts.Network == "unix" {
		return math.NaN()
	}
	host, port, err := net.SplitHostPort(opts.Addr)
	check(err)
	args := []string{"-h", host, "-p", port, "--dbnum", strconv.Itoa(opts.DB), "-c", strconv.Itoa(writers), "-n", strconv.Itoa(n),
		"-r", "1000000000", "--csv"}
	cmd := exec.CommandContext(ctx, program, append(args, command...)...) //nolint:gosec // Nothing of it comes from outside but the address.
	if opts.Password != "" {
		// Not on the command line, where every user of the machine could read it.
		cmd.Env = append(os.Environ(), "REDISCLI_AUTH="+opts.Password)
	}
	out, err := cmd.Output()
	if err != nil {
		check(fmt.Errorf("redis-benchmark: %w", err))
	}
	return get(requestsPerSecond(string(out)))
}

// requestsPerSecond reads the CSV of redis-benchmark. The last line begins with the
// command, with its commas and quotes unescaped; seven figures follow, the first of which
// is the rate.
func requestsPerSecond(csv string) (float64, error) {
	lines := strings.Split(strings.TrimSpace(csv), "\n")
	fields := strings.Split(lines[len(lines)-1], `","`)
	if len(fields) >= 8 {
		if v, err := strconv.ParseFloat(fields[len(fields)-7], 64); err == nil {
			return v, nil
		}
	}
	return 0, events.Errorf(events.CodeInternal, "the output of redis-benchmark is not understood: %.200q", csv)
}
