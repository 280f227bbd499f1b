package poison_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/pitwheel/pitwheel/router/poison"
)

// A message survives its JSON, byte for byte, whatever the body holds.
func TestMessage_JSON(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		at := rapid.Custom(func(t *rapid.T) time.Time {
			return time.UnixMilli(rapid.Int64Range(0, 253402300799999).Draw(t, "ms")).UTC()
		})
		text := rapid.String()
		l := poison.Message{
			ID: text.Draw(t, "id"), Handler: text.Draw(t, "handler"), Kind: "reaction", Queue: "q", Type: text.Draw(t, "type"), Key: text.Draw(t, "key"),
			MessageID: text.Draw(t, "message"), CorrelationID: "c", Code: "X", Reason: text.Draw(t, "reason"), Frame: text.Draw(t, "frame"), Stack: text.Draw(t, "stack"),
			Source: poison.FromBroker, Attempts: rapid.IntRange(0, 100).Draw(t, "attempts"), Failures: 2,
			FirstFailedAt: at.Draw(t, "first"), LastFailedAt: at.Draw(t, "last"),
			Metadata: rapid.MapOf(text, text).Draw(t, "metadata"), Body: rapid.SliceOf(rapid.Byte()).Draw(t, "body"),
		}
		l.Size = len(l.Body)
		line, err := json.Marshal(l)
		if err != nil {
			t.Fatal(err)
		}
		var got poison.Message
		if err := json.Unmarshal(line, &got); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if diff := cmp.Diff(l, got, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s (-before +after):\n%s", line, diff)
		}
	})
}

func TestMessage_JSONOfOthers(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "[]", `{"id":1}`, `{"first_failed_at":"yesterday"}`, `{"first_failed_at":"2026-01-24T10:00:00Z","last_failed_at":""}`} {
		if err := json.Unmarshal([]byte(text), &poison.Message{}); err == nil {
			t.Errorf("%q is read as a poison message", text)
		}
	}
}

func TestMessage_Fields(t *testing.T) {
	t.Parallel()
	l := poison.Message{
		Code: "code", CorrelationID: "correlation_id", Frame: "frame", Handler: "handler", Key: "key", Kind: "kind", MessageID: "message_id", Queue: "queue",
		Source: "source", Type: "type",
	}
	line, err := json.Marshal(l)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range poison.Fields() {
		if l.Field(name) != name || !strings.Contains(string(line), `"`+name+`":"`+name+`"`) {
			t.Errorf("the field %s is %q, in %s", name, l.Field(name), line)
		}
	}
	if l.Field("other") != "" {
		t.Error("a field that does not exist has a value")
	}
}
