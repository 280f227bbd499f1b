package cli

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pitwheel/pitwheel/events"
)

// The last events that are wanted are shown, however many others came after them.
func TestEventTail_Type(t *testing.T) {
	t.Parallel()
	b := newTestStore(t)
	// 40 users, each with an event in turn, so that all partitions have some.
	const users, each = 40, 60
	var deactivated, all []string
	at := time.Date(2026, 1, 24, 10, 0, 0, 0, time.UTC)
	for v := range uint64(each) {
		for u := range users {
			kind := "USER_EMAIL_CHANGED"
			if v == 1 && u%2 == 0 {
				kind = "USER_DEACTIVATED"
			}
			at = at.Add(time.Millisecond)
			id := events.NewID()
			all = append(all, id)
			if kind == "USER_DEACTIVATED" {
				deactivated = append(deactivated, id)
			}
			if _, err := b.store.Append(t.Context(), oneEvent(fmt.Sprint("user-", u), kind, id, v, at)); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, tt := range []struct {
		args string
		want []string
	}{
		{"--type USER_DEACTIVATED -n 5", deactivated[users/2-5:]},
		{"--type USER_DEACTIVATED -n 1000", deactivated},
		{"--type USER_DEACTIVATED,USER_EMAIL_CHANGED -n 7", all[len(all)-7:]},
		{"--type USER_CREATED", nil},
		{"", all[len(all)-10:]},
		{"-n 0", nil},
		{"-n 1500", all[len(all)-1500:]},
		{"-n 5000", all},
	} {
		out := pitwheel(t, b.environ, append([]string{"event", "tail", "--no-follow", "-o", "json"}, strings.Fields(tt.args)...)...).ok(t).stdout
		var got []logView
		if err := json.Unmarshal([]byte(out), &got); err != nil {
			t.Fatal(err)
		}
		var ids []string
		for _, e := range got {
			ids = append(ids, e.ID)
		}
		if diff := cmp.Diff(tt.want, ids); diff != "" {
			t.Errorf("event tail %s: %d events, not %d: %.500s", tt.args, len(ids), len(tt.want), diff)
		}
	}
}

// oneEvent is a decision that adds one event to what has so many.
func oneEvent(aggregateID, kind, id string, version uint64, at time.Time) events.AppendRequest {
	command := events.NewID()
	return events.AppendRequest{
		Aggregate: "user", AggregateID: aggregateID, ExpectedVersion: version,
		Events: []events.Envelope{{
			Header: events.Header{ID: id, Type: kind, Timestamp: at, Aggregate: "user", AggregateID: aggregateID, Version: version + 1, CausationID: command, SchemaVersion: 1},
			Data:   json.RawMessage(`{}`),
		}},
		Outcome: events.Outcome{Status: events.StatusAccepted, CommandID: command, Aggregate: "user", AggregateID: aggregateID, Version: version + 1},
	}
}
