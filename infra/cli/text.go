package cli

import (
	"fmt"
	"strings"
	"time"
)

// cell returns a text on one line of at most n characters, without control characters.
func cell(s string, n int) string {
	short := []rune(safeText(s, false))
	if len(short) > n {
		return string(short[:n-1]) + "…"
	}
	return string(short)
}

// safeText replaces control characters; line breaks and tabs are kept if lines is set.
func safeText(s string, lines bool) string {
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

// ago returns how long ago something was, in its two largest units at most.
func ago(d time.Duration) string {
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
