package cli

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/pitwheel/pitwheel/events"
)

// The last events that are wanted are shown, however many others came after them.
func TestEventTail_Type(t *testing.T) {
	t.Parallel()
	b := newTestStore(t)
	all, deactivated := b.longLog()
	for _, tt := range []struct {
		args string
		want []string
	}{
		{"--type USER_DEACTIVATED -n 5", deactivated[longLogUsers/2-5:]},
		{"--aggregate-id user-0,user-1 --type USER_DEACTIVATED -n 5", deactivated[:1]},
		{"--type USER_DEACTIVATED -n 1000", deactivated},
		{"--type USER_DEACTIVATED,USER_EMAIL_CHANGED -n 7", all[len(all)-7:]},
		{"--type USER_CREATED", nil},
		{"", all[len(all)-10:]},
		{"--aggregate-id nobody", nil},
		{"-n 0", nil},
		{"-n 1500", all[len(all)-1500:]},
		{"-n 5000", all},
	} {
		ids := b.eventIDs("event tail --no-follow " + tt.args)
		if diff := cmp.Diff(tt.want, ids); diff != "" {
			t.Errorf("event tail %s: %d events, not %d: %.500s", tt.args, len(ids), len(tt.want), diff)
		}
	}
}

// A list has the newest events up to its limit, sorted by time over all partitions.
func TestEventList(t *testing.T) {
	t.Parallel()
	b := newTestStore(t)
	all, deactivated := b.longLog()
	var ofUser7 []string
	for v := range longLogEach {
		ofUser7 = append(ofUser7, all[v*longLogUsers+7])
	}
	at := func(n int) string {
		return longLogBegin.Add(time.Duration(n) * time.Millisecond).Format(events.TimeLayout)
	}
	for _, tt := range []struct {
		args  string
		want  []string
		older bool
	}{
		{"", all[len(all)-100:], true},
		{"--limit 7", all[len(all)-7:], true},
		{"--limit 0", all, false},
		{"--limit 5000", all, false},
		{fmt.Sprintf("--limit %d", len(all)), all, false},
		{"--type USER_DEACTIVATED", deactivated, false},
		{"--type USER_DEACTIVATED --limit 0", deactivated, false},
		{"--type USER_DEACTIVATED --limit 3", deactivated[len(deactivated)-3:], true},
		{"--type USER_CREATED", nil, false},
		{"--type USER_CREATED --limit 0", nil, false},
		{"--aggregate user --aggregate-id user-7", ofUser7, false},
		{"--aggregate-id user-7 --limit 2", ofUser7[longLogEach-2:], true},
		{"--aggregate-id user-7 --limit 0", ofUser7, false},
		{"--aggregate-id nobody", nil, false},
		{"--since " + at(1000), all[len(all)-100:], true},
		{"--since " + at(2350), all[2350:], false},
		{"--limit 0 --since " + at(1000), all[1000:], false},
		{"--limit 0 --until " + at(1000), all[:1001], false},
		{"--until " + at(1000), all[901:1001], true},
		{"--since " + at(990) + " --until " + at(1000), all[990:1001], false},
		{"--limit 0 --since " + at(990) + " --until " + at(1000), all[990:1001], false},
		{"--limit 3 --since " + at(990) + " --until " + at(1000), all[998:1001], true},
		{"--since " + at(1000) + " --until " + at(1000), all[1000:1001], false},
		{"--since 1s", nil, false},
		{"--until " + at(-1), nil, false},
	} {
		r := pitwheel(t, b.environ, append([]string{"event", "list", "-o", "json"}, strings.Fields(tt.args)...)...).ok(t)
		var ids []string
		for _, e := range logOf(t, r.stdout) {
			ids = append(ids, e.ID)
		}
		if diff := cmp.Diff(tt.want, ids); diff != "" {
			t.Errorf("event list %s: %d events, not %d: %.500s", tt.args, len(ids), len(tt.want), diff)
		}
		if older := strings.Contains(r.stderr, "there are older events than the "); older != tt.older {
			t.Errorf("event list %s: stderr has %q", tt.args, r.stderr)
		}
		quiet := pitwheel(t, b.environ, append([]string{"event", "list", "-q"}, strings.Fields(tt.args)...)...).ok(t).stdout
		if diff := cmp.Diff(tt.want, strings.Fields(quiet), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("event list -q %s: %.500s", tt.args, diff)
		}
	}
	r := pitwheel(t, b.environ, "event", "list", "--limit", "1").ok(t)
	has(t, r.stdout, "TIMESTAMP                 TYPE                AGGREGATE  AGGREGATE ID  VERSION  DATA\n"+
		at(len(all)-1)+"  USER_EMAIL_CHANGED  user       user-39       60       {}\n")
	for args, want := range map[string]string{
		"--limit -1":            "--limit is -1",
		"--since yesterday":     "--since is",
		"--until tomorrow":      "--until is",
		"--since 1h --until 2h": "--until is before --since",
		"--type USER_CREATD":    `the nearest is "USER_CREATED"`,
		"--aggregate usr":       `the nearest is "user"`,
		"--aggregate-id=":       "--aggregate-id",
		"--since 1y":            "10m or 1d12h",
		"--since 2026-01-24T10:00:00.5Z -q -o json": "-q",
	} {
		r := pitwheel(t, b.environ, append([]string{"event", "list"}, strings.Fields(args)...)...)
		if r.code != exitUsage && r.code != exitNotFound {
			t.Errorf("event list %s ends with %d", args, r.code)
		}
		has(t, r.stderr, want)
	}
}

// A long log has events of many users, each with one in turn, so that all partitions have
// some. Event n happened n milliseconds after its begin.
const longLogUsers, longLogEach = 40, 60

var longLogBegin = time.Date(2026, 1, 24, 10, 0, 0, 0, time.UTC)

// longLog stores a long log. It returns the ids of all events in their order, and of those
// that deactivate a user.
func (b *testStore) longLog() (all, deactivated []string) {
	b.t.Helper()
	at := longLogBegin
	for v := range uint64(longLogEach) {
		for u := range longLogUsers {
			kind := "USER_EMAIL_CHANGED"
			id := events.NewID()
			if v == 1 && u%2 == 0 {
				kind, deactivated = "USER_DEACTIVATED", append(deactivated, id)
			}
			all = append(all, id)
			if _, err := b.store.Append(b.t.Context(), oneEvent(fmt.Sprint("user-", u), kind, id, v, at)); err != nil {
				b.t.Fatal(err)
			}
			at = at.Add(time.Millisecond)
		}
	}
	return all, deactivated
}

// eventIDs returns the ids of the events that a command prints.
func (b *testStore) eventIDs(command string) []string {
	b.t.Helper()
	var ids []string
	for _, e := range logOf(b.t, pitwheel(b.t, b.environ, append(strings.Fields(command), "-o", "json")...).ok(b.t).stdout) {
		ids = append(ids, e.ID)
	}
	return ids
}

// logOf reads events from a JSON array.
func logOf(t *testing.T, text string) []logView {
	t.Helper()
	var out []logView
	if err := json.Unmarshal([]byte(text), &out); err != nil {
		t.Fatalf("%.500s: %v", text, err)
	}
	return out
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
