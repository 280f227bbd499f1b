package input

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/settings"
)

// ParseMoment reads a time: RFC 3339, a date, or how long ago it was, in units up to
// weeks. An empty text is the zero time.
func ParseMoment(flag, text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if d, err := settings.ParseDuration(text); err == nil && d >= 0 {
		return now.Add(-d), nil
	}
	for _, layout := range []string{time.RFC3339Nano, time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil {
			return t, nil
		}
	}
	return time.Time{}, Usagef("%s is %q; it must be how long ago, such as 10m or 1d12h, or a time, such as %s", flag, text, now.UTC().Format(time.RFC3339))
}

// Point is a place in an aggregate's history: a version, or a moment. The zero Point is
// its end.
type Point struct {
	Version uint64
	At      time.Time
}

// ParsePoint reads a version, or a time as [ParseMoment] does.
func ParsePoint(flag, text string, now time.Time) (Point, error) {
	if v, err := strconv.ParseUint(text, 10, 64); err == nil {
		if v == 0 {
			return Point{}, Usagef("%s is 0; versions run from 1 on", flag)
		}
		return Point{Version: v}, nil
	}
	t, err := ParseMoment(flag, text, now)
	if err != nil {
		return Point{}, Usagef("%s is %q; it must be a version, such as 3, or a time, such as %s", flag, text, now.UTC().Format(time.RFC3339))
	}
	return Point{At: t}, nil
}

// Includes reports whether an event had happened at the point.
func (p Point) Includes(e events.Recorded) bool {
	switch {
	case p.Version > 0:
		return e.Version <= p.Version
	case !p.At.IsZero():
		return !e.Timestamp.After(p.At)
	}
	return true
}

// ParseRate reads a rate, such as 5/s, and returns the pause between two; 0 if the text
// is empty.
func ParseRate(text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	wrong := Usagef("--rate is %q; it must be a number a second or a minute, such as 5/s or 30/m, at most 1000/s", text)
	number, unit, ok := strings.Cut(text, "/")
	per, known := map[string]time.Duration{"s": time.Second, "m": time.Minute}[unit]
	var n float64
	if _, err := fmt.Sscanf(number+"\n", "%g\n", &n); err != nil || n <= 0 || ok && !known {
		return 0, wrong
	}
	if !ok {
		per = time.Second
	}
	pause := time.Duration(float64(per) / n)
	if pause < time.Millisecond || pause > 24*time.Hour {
		return 0, wrong
	}
	return pause, nil
}
