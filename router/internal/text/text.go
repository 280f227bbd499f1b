// Package text bounds texts that come from outside, such as error messages and
// stacks, before they are logged, stored or sent in a header.
package text

import (
	"strings"
	"unicode/utf8"
)

// Cut returns s as valid UTF-8 of at most n bytes, followed by an ellipsis if
// something was cut off. Bytes that are not valid UTF-8 are replaced by U+FFFD.
func Cut(s string, n int) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}
