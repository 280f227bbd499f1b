package telemetry

import (
	"regexp"
	"strings"
)

// RedactURL returns a URL, or a comma-separated list of them, without passwords,
// for messages. It does not need a valid URL, since it is the invalid ones that
// messages are about, and it hides too much rather than too little: in a list,
// all up to the last password.
func RedactURL(url string) string {
	const mask = "xxxxx"
	start := 0
	if i := strings.Index(url, "://"); i >= 0 && !strings.ContainsAny(url[:i], ":@/") {
		start = i + len("://")
	}
	// Passwords hold characters that should have been percent-encoded, so that only
	// the last @ is sure to end one.
	if at := strings.LastIndexByte(url, '@'); at >= start {
		if user, _, ok := strings.Cut(url[start:at], ":"); ok {
			url = url[:start] + user + ":" + mask + url[at:]
		}
	}
	secret := regexp.MustCompile(`(?i)([?&][^=&#]*(?:pass|pwd|secret|token|key)[^=&#]*=)[^&#]*`)
	return secret.ReplaceAllString(url, "${1}"+mask)
}
