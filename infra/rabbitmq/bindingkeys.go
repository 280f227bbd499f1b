package rabbitmq

import "strings"

// bindingKeys are the binding keys of an exchange of type topic.
type bindingKeys struct {
	exact    map[string]bool
	patterns [][]string // as words
}

func (k *bindingKeys) add(key string) {
	if words := strings.Split(key, "."); strings.ContainsAny(key, "*#") {
		k.patterns = append(k.patterns, words)
		return
	}
	if k.exact == nil {
		k.exact = map[string]bool{}
	}
	k.exact[key] = true
}

// match reports whether a message with a routing key is routed. No keys match nothing.
func (k *bindingKeys) match(key string) bool {
	switch {
	case k == nil:
		return false
	case k.exact[key]:
		return true
	case len(k.patterns) == 0:
		return false
	}
	var words []string
	if key != "" { // which has no words, and not an empty one
		words = strings.Split(key, ".")
	}
	for _, pattern := range k.patterns {
		if matchWords(pattern, words) {
			return true
		}
	}
	return false
}

// matchWords reports whether words match a pattern, in which * stands for one word and #
// for any number of them.
func matchWords(pattern, words []string) bool {
	for i, p := range pattern {
		switch {
		case p == "#":
			for skip := range len(words) - i + 1 {
				if matchWords(pattern[i+1:], words[i+skip:]) {
					return true
				}
			}
			return false
		case i >= len(words) || p != "*" && p != words[i]:
			return false
		}
	}
	return len(pattern) == len(words)
}
