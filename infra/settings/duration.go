package settings

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"time"
)

const (
	day  = 24 * time.Hour
	week = 7 * day
)

// longUnit matches a part of a duration in days or weeks.
var longUnit = regexp.MustCompile(`([0-9]+(?:\.[0-9]+)?)([dw])`)

// ParseDuration is like [time.ParseDuration], and knows days of 24 hours and weeks, too:
// 1d12h, 2w.
func ParseDuration(text string) (time.Duration, error) {
	// A part becomes one in nanoseconds. What does not fit stays as it is, and is an error
	// with its unit.
	inNanoseconds := longUnit.ReplaceAllStringFunc(text, func(part string) string {
		unit := day
		if part[len(part)-1] == 'w' {
			unit = week
		}
		n, err := strconv.ParseFloat(part[:len(part)-1], 64)
		if err != nil || n*float64(unit) > math.MaxInt64/2 {
			return part
		}
		return strconv.FormatInt(int64(n*float64(unit)), 10) + "ns"
	})
	d, err := time.ParseDuration(inNanoseconds)
	if err != nil {
		return 0, fmt.Errorf("%q is not a duration", text)
	}
	return d, nil
}
