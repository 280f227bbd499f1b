package output

import (
	"fmt"
	"strings"
	"time"
)

// Cell returns a text on one line of at most n characters, without control characters.
func Cell(s string, n int) string {
	short := []rune(Safe(s))
	if len(short) > n {
		return string(short[:n-1]) + "…"
	}
	return string(short)
}

// Safe returns a text on one line without control characters.
func Safe(s string) string { return safe(s, false) }

// SafeLines returns a text without control characters but line breaks and tabs.
func SafeLines(s string) string { return safe(s, true) }

func safe(s string, lines bool) string {
	return strings.Map(func(r rune) rune {
		switch {
		case lines && (r == '\n' || r == '\t'):
			return r
		case r == '\n' || r == '\t' || r == '\r':
			return ' '
		case r < 0x20 || r >= 0x7f && r < 0xa0:
			return '\uFFFD'
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
}

// Ago returns how long ago something was, in its two largest units at most.
func Ago(d time.Duration) string {
	switch d = max(0, d); {
	case d < time.Minute:
		return fmt.Sprintf("%ds ago", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm ago", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh%02dm ago", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%dd ago", int(d.Hours())/24)
}
