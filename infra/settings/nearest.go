package settings

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

const (
	// maxListed is how many words a message lists.
	maxListed = 10
	// minPrefix is how long a word must be, in bytes, to stand for those that begin with it.
	minPrefix = 3
)

// Nearest returns the known word that is probably meant by the given one, or "" if none is
// near. A word is near if one edit is enough, or one for every three characters of the
// given word, or if one of the two begins with the other. Upper and lower case are the
// same. The word that takes the fewest edits wins, of several the first in order.
func Nearest(word string, known []string) string {
	best, least := "", 0
	for _, k := range slices.Sorted(slices.Values(known)) {
		if d, near := compare(strings.ToLower(word), strings.ToLower(k)); near && (best == "" || d < least) {
			best, least = k, d
		}
	}
	return best
}

// compare returns the distance of two words, and whether they are near each other.
func compare(word, known string) (edits int, near bool) {
	edits = distance(word, known)
	begins := min(len(word), len(known)) >= minPrefix && (strings.HasPrefix(known, word) || strings.HasPrefix(word, known))
	return edits, begins || edits <= max(1, len([]rune(word))/3)
}

// Suggest returns the end of a message about an unknown word: `; the nearest is "x"`, or,
// if no known word is near, the known words, or the first ten of them.
func Suggest(word string, known []string) string {
	return cmp.Or(DidYouMean(word, known), "; "+Listed(known))
}

// DidYouMean is like [Suggest], but "" if no known word is near, for messages that list
// the words anyway.
func DidYouMean(word string, known []string) string {
	if nearest := Nearest(word, known); nearest != "" {
		return fmt.Sprintf("; the nearest is %q", nearest)
	}
	return ""
}

// Listed returns a sentence with all known words, or the first ten of them.
func Listed(known []string) string {
	switch n := len(known); {
	case n == 0:
		return "there are none"
	case n == 1:
		return "there is only " + known[0]
	case n > maxListed:
		return fmt.Sprintf("there are %s and %d more", strings.Join(known[:maxListed], ", "), n-maxListed)
	}
	return "there are " + strings.Join(known, ", ")
}

// distance counts the insertions, deletions, replacements and swaps of two
// neighbours that turn a into b (optimal string alignment).
func distance(a, b string) int {
	s, t := []rune(a), []rune(b)
	before, last := make([]int, len(t)+1), make([]int, len(t)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(s); i++ {
		row := make([]int, len(t)+1)
		row[0] = i
		for j := 1; j <= len(t); j++ {
			cost := 1
			if s[i-1] == t[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && s[i-1] == t[j-2] && s[i-2] == t[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last = last, row
	}
	return last[len(t)]
}
