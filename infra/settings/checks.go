package settings

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// URL returns a check for a URL of one of the schemes. Several hosts separated by
// commas are accepted for redis and rediss only. Its errors never repeat the value,
// which may hold a password.
func URL(schemes ...string) func(string) error {
	return func(v string) error {
		scheme, rest, ok := strings.Cut(v, "://")
		if !ok || !slices.Contains(schemes, scheme) {
			return fmt.Errorf("must start with %s://", strings.Join(schemes, ":// or "))
		}
		// Several hosts are not a URL, so that each is looked at on its own.
		authority, tail := rest, ""
		if i := strings.IndexAny(rest, "/?#"); i >= 0 {
			authority, tail = rest[:i], rest[i:]
		}
		user := ""
		if i := strings.LastIndex(authority, "@"); i >= 0 {
			user, authority = authority[:i+1], authority[i+1:]
		}
		hosts := strings.Split(authority, ",")
		if len(hosts) > 1 && !strings.HasPrefix(scheme, "redis") {
			return errors.New("must name one host")
		}
		for _, h := range hosts {
			u, err := url.Parse(scheme + "://" + user + h + tail)
			switch {
			case err != nil:
				return errors.New("is not a URL; in the password, write every character but letters and digits as %XX")
			case u.Hostname() == "":
				return errors.New("names no host")
			case u.Port() != "" && !isPort(u.Port()):
				return fmt.Errorf("has the port %s; it must be 1 to 65535", u.Port())
			}
		}
		return nil
	}
}

func isPort(p string) bool {
	n, err := strconv.Atoi(p)
	return err == nil && n > 0 && n <= 65535
}

// Address checks host:port. Port 0 is any free one.
func Address(v string) error {
	_, port, err := net.SplitHostPort(v)
	if err != nil {
		return fmt.Errorf("is %q; it must be host:port, such as 127.0.0.1:8080", v)
	}
	if port != "0" && !isPort(port) {
		return fmt.Errorf("is %q; the port must be 0 to 65535", v)
	}
	return nil
}

// Match returns a check against a regular expression. Words describe what
// may be used. It panics if the expression is wrong.
func Match(expr, words string) func(string) error {
	re := regexp.MustCompile(expr)
	return func(v string) error {
		if !re.MatchString(v) {
			return fmt.Errorf("is %q; use %s", v, words)
		}
		return nil
	}
}

// OneOf returns a check for one of some values.
func OneOf(values ...string) func(string) error {
	return func(v string) error {
		if !slices.Contains(values, v) {
			return fmt.Errorf("is %q; it must be %s", v, strings.Join(values, " or "))
		}
		return nil
	}
}

// IntBetween returns a check for a whole number of something, such as "bytes", within
// bounds; both are included.
func IntBetween(least, most int, of string) func(string) error {
	what := "a number"
	if of != "" {
		what += " of " + of
	}
	return func(v string) error {
		if n, err := strconv.Atoi(v); err != nil || n < least || n > most {
			return fmt.Errorf("is %q; it must be %s from %d to %d", v, what, least, most)
		}
		return nil
	}
}

// DurationBetween returns a check for a duration such as 25s within bounds; both are
// included.
func DurationBetween(least, most time.Duration) func(string) error {
	return func(v string) error {
		if d, err := ParseDuration(v); err != nil || d < least || d > most {
			return fmt.Errorf("is %q; it must be a duration from %s to %s, such as 25s", v, short(least), short(most))
		}
		return nil
	}
}

// short writes a duration without units that are zero: 10m rather than 10m0s.
func short(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// Bool checks true or false.
func Bool(v string) error {
	if _, err := strconv.ParseBool(v); err != nil {
		return fmt.Errorf("is %q; it must be true or false", v)
	}
	return nil
}
