package events

import (
	"encoding/json"
	"slices"
)

// NestJS's transport for microservices sends {"pattern": …, "data": …}, and with "id" for a
// request that it awaits a reply to.

// patternName returns the message type that a pattern names: the pattern itself if it is a
// string, or else its member "cmd" or its only member. It is empty for any other pattern.
func patternName(pattern json.RawMessage) string {
	if len(pattern) == 0 {
		return ""
	}
	var name string
	if json.Unmarshal(pattern, &name) == nil {
		return name
	}
	var members map[string]json.RawMessage
	if json.Unmarshal(pattern, &members) != nil {
		return ""
	}
	value := members["cmd"]
	if len(members) == 1 {
		for _, value = range members {
		}
	}
	if json.Unmarshal(value, &name) != nil {
		return ""
	}
	return name
}

// wrapped reports whether Nest's data are a body as [Encode] writes it: an application that
// emits our form through Nest's client sends it within Nest's own.
func wrapped(data json.RawMessage) (body []byte, ok bool) {
	var members map[string]json.RawMessage
	if json.Unmarshal(data, &members) != nil || members["type"] == nil || members["data"] == nil {
		return nil, false
	}
	for name := range members {
		if !slices.Contains([]string{"id", "type", "timestamp", "data"}, name) {
			return nil, false
		}
	}
	return data, true
}

// requestID returns Nest's id of a request if it is a UUID. Any other one is a random text
// that tells two requests of one connection apart.
func requestID(id json.RawMessage) json.RawMessage {
	var text string
	if json.Unmarshal(id, &text) != nil || !IsID(text) {
		return nil
	}
	return id
}
