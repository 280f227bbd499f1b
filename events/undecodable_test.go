package events_test

import (
	"testing"

	"github.com/pitwheel/pitwheel/events"
)

// What cannot be read is described in terms of the JSON, for those who look at the message.
func TestDecode_SaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		"":           "it is empty",
		`{"broken`:   "it is not JSON: it ends too early, after 8 bytes",
		"hello":      "it is not JSON: invalid character 'h' looking for beginning of value, at byte 1",
		`{"a":}`:     "it is not JSON: invalid character '}' looking for beginning of value, at byte 6",
		"[1]":        "it is an array, not an object",
		`"x"`:        "it is a string, not an object",
		"12":         "it is a number, not an object",
		"{} trailer": "it is not JSON: invalid character 't' after top-level value, at byte 4",
	} {
		_, err := events.Decode([]byte(body), events.Header{})
		if events.CodeOf(err) != events.CodeUndecodable || err.Error() != "the body is not a JSON object of the form {id,type,timestamp,data}: "+want {
			t.Errorf("%q: the error is %v", body, err)
		}
	}
}
