package events

import (
	"strings"
	"testing"
)

func TestIsID(t *testing.T) {
	t.Parallel()
	for id, want := range map[string]bool{
		NewID():                                   true,
		DeriveID("a"):                             true,
		"0190f3c2-0000-7000-8000-00000000ada0":    true,
		"":                                        false,
		"0190f3c2-0000-7000-8000-00000000ada":     false,
		"0190f3c2-0000-7000-8000-00000000ada00":   false,
		"0190F3C2-0000-7000-8000-00000000ADA0":    false,
		"0190f3c2-0000-7000-8000-00000000adag":    false,
		"0190f3c2-0000-7000-8000-0000000-ada0":    false,
		"0190f3c200000-7000-8000-00000000ada0":    false,
		"0190f3c2-0000-7000-8000-00000000ad/0":    false,
		"0190f3c2-0000-7000-8000-00000000ad`0":    false,
		"0190f3c2-0000-7000-8000-00000000ad\xff0": false,
		strings.Repeat("-", 36):                   false,
		strings.Repeat("a", 36):                   false,
	} {
		if got := IsID(id); got != want {
			t.Errorf("IsID(%q) is %v", id, got)
		}
	}
}

// Two texts never become one id unless they write the same UUID.
func TestNormalizeID(t *testing.T) {
	t.Parallel()
	const id = "0190f3c2-0000-7000-8000-00000000ada0"
	for _, same := range []string{id, strings.ToUpper(id), "{" + id + "}", "urn:uuid:" + id, strings.ReplaceAll(id, "-", "")} {
		if got := NormalizeID(same); got != id {
			t.Errorf("NormalizeID(%q) is %s", same, got)
		}
	}
	seen := map[string]string{id: id}
	for _, other := range []string{"x" + id + "y", "(" + id + ")", "{" + id + "x", id + "0", "order 7", "order 8", ""} {
		got := NormalizeID(other)
		if was, ok := seen[got]; ok || !IsID(got) {
			t.Errorf("NormalizeID(%q) is %s, as of %q", other, got, was)
		}
		seen[got] = other
	}
}

func TestMessageID(t *testing.T) {
	t.Parallel()
	const id = "0190f3c2-0000-7000-8000-00000000ada0"
	for text, want := range map[string]string{
		id:                       id,
		strings.ToUpper(id):      id,
		"{" + id + "}":           id,
		"order 7/ä":              "order 7/ä",
		strings.Repeat("x", 255): strings.Repeat("x", 255),
		strings.Repeat("x", 256): NormalizeID(strings.Repeat("x", 256)),
		"a\x00b":                 NormalizeID("a\x00b"),
		"a\u202eb":               NormalizeID("a\u202eb"),
		"a\xff":                  NormalizeID("a\xff"),
	} {
		if got := MessageID(text); got != want {
			t.Errorf("MessageID(%q) is %q, want %q", text, got, want)
		}
	}
}
