package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"
)

// row is the result of one system.
type row struct {
	Name     string  `json:"name"`
	Title    string  `json:"title"`
	Messages int     `json:"messages"`
	Publish  float64 `json:"publish"` // a second
	Consume  float64 `json:"consume"` // a second
	gives
	Skipped string `json:"skipped,omitempty"`
	Error   string `json:"error,omitempty"`
}

// compare runs all systems, one after the other, in each of several rounds, so that what
// else happens on the machine falls on all of them.
func compare(ctx context.Context, chosen []system, at addresses, o options, stderr io.Writer) []row {
	_, _ = fmt.Fprintf(stderr, "%s, %d CPUs\n", runtime.Version(), runtime.NumCPU())
	rows := make([]row, len(chosen))
	published, consumed := make([][]float64, len(chosen)), make([][]float64, len(chosen))
	for i, s := range chosen {
		rows[i] = row{Name: s.name, Title: strings.ReplaceAll(s.title, versionHere, versionOf(s.module)), Messages: o.messages / s.part, gives: s.gives}
	}
	load := newLoad(o.messages)
	for round := range o.rounds {
		for i, s := range chosen {
			r := &rows[i]
			if ctx.Err() != nil || r.Skipped != "" || r.Error != "" {
				continue
			}
			p, c, err := measure(ctx, s, at, load[:r.Messages])
			var missing missingError
			switch {
			case ctx.Err() != nil:
			case errors.As(err, &missing):
				r.Skipped = "skipped: " + missing.Error()
				_, _ = fmt.Fprintf(stderr, "%s  %s\n", s.name, r.Skipped)
			case err != nil:
				r.Error = "failed: " + err.Error()
				_, _ = fmt.Fprintf(stderr, "%s  %s\n", s.name, r.Error)
			default:
				published[i], consumed[i] = append(published[i], p), append(consumed[i], c)
				r.Publish, r.Consume = median(published[i]), median(consumed[i])
				_, _ = fmt.Fprintf(stderr, "%s  %d/%d  %.0f published and %.0f consumed a second\n", s.name, round+1, o.rounds, p, c)
			}
		}
	}
	return rows
}

// measure returns how many messages a second a system publishes, and consumes.
func measure(ctx context.Context, s system, at addresses, load []event) (published, consumed float64, err error) {
	var id [6]byte
	_, _ = rand.Read(id[:]) // It never fails, as crypto/rand says.
	q, err := s.open(ctx, at, "peers"+hex.EncodeToString(id[:]), load)
	if q != nil {
		defer func() {
			removing, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
			defer cancel()
			err = errors.Join(err, q.remove(removing))
		}()
	}
	if err != nil {
		return 0, 0, err
	}
	runtime.GC() // No system collects the garbage of another.
	started := time.Now()
	if err := q.publish(ctx); err != nil {
		return 0, 0, fmt.Errorf("publishing: %w", err)
	}
	published = float64(len(load)) / time.Since(started).Seconds()

	m := newMeter(len(load))
	stop, err := q.consume(ctx, func(id string) { m.mark(numberOf(id)) })
	if err != nil {
		return 0, 0, fmt.Errorf("consuming: %w", err)
	}
	consumed, err = m.wait(ctx)
	if err := errors.Join(err, stop()); err != nil {
		return 0, 0, fmt.Errorf("consuming: %w", err)
	}
	return published, consumed, nil
}

// versionOf returns the version of a module that this program was built with.
func versionOf(module string) string {
	if build, ok := debug.ReadBuildInfo(); ok {
		for _, d := range build.Deps {
			if d.Path == module {
				return d.Version
			}
		}
	}
	return "of unknown version"
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	mid := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[mid]
	}
	return (sorted[mid-1] + sorted[mid]) / 2
}
