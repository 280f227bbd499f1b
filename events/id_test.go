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
