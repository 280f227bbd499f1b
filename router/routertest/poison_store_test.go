package routertest_test

import (
	"strings"
	"testing"
	"time"

	"github.com/pitwheel/pitwheel/router/poison"
	"github.com/pitwheel/pitwheel/router/routertest"
)

// poisoned returns a poison message of a handler that failed last n minutes after ten.
func poisoned(handler, message string, n int) poison.Message {
	at := time.Date(2026, 11, 27, 10, n, 0, 0, time.UTC)
	return poison.Message{
		ID: poison.ID(handler, message), Handler: handler, MessageID: message, Source: poison.FromRouter, Failures: 1,
		FirstFailedAt: at, LastFailedAt: at, Body: []byte(message), Metadata: map[string]string{"a": "b"}, Stack: "stack",
	}
}

func TestPoisonStore_StorePoison(t *testing.T) {
	t.Parallel()
	retried := poisoned("h", "m", 1)
	retried.Failures = 2
	for _, tt := range []struct {
		name            string
		then            poison.Message
		failures, first int // minutes
		last            int
	}{
		{"the same failure", poisoned("h", "m", 1), 1, 1, 1},
		{"a later failure", poisoned("h", "m", 5), 2, 1, 5},
		{"an earlier failure that comes late", poisoned("h", "m", 0), 2, 0, 1},
		{"a failure after a retry within the same millisecond", retried, 2, 1, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var s routertest.PoisonStore
			for _, m := range []poison.Message{poisoned("h", "m", 1), tt.then, tt.then} {
				if err := s.StorePoison(t.Context(), m); err != nil {
					t.Fatal(err)
				}
			}
			got := s.Of("h")
			if len(got) != 1 || got[0].Failures != tt.failures || got[0].FirstFailedAt.Minute() != tt.first || got[0].LastFailedAt.Minute() != tt.last {
				t.Errorf("stored is %+v", got)
			}
		})
	}
}

func TestPoisonStore_PoisonMessages(t *testing.T) {
	t.Parallel()
	var s routertest.PoisonStore
	for i, m := range []poison.Message{poisoned("a", "2", 2), poisoned("b", "1", 1), poisoned("a", "3", 3)} {
		if err := s.StorePoison(t.Context(), m); err != nil {
			t.Fatal(i, err)
		}
	}
	for _, tt := range []struct {
		filter poison.Filter
		order  poison.Order
		want   string
	}{
		{poison.Filter{}, poison.OldestFirst, "1 2 3"},
		{poison.Filter{}, poison.NewestFirst, "3 2 1"},
		{poison.Filter{Fields: map[string][]string{"handler": {"a"}}}, poison.OldestFirst, "2 3"},
		{poison.Filter{Before: poisoned("a", "3", 3).LastFailedAt}, poison.NewestFirst, "2 1"},
	} {
		var got []string
		for m, err := range s.PoisonMessages(t.Context(), tt.filter, tt.order) {
			if err != nil || m.Body != nil || m.Metadata != nil || m.Stack != "" || m.Revision == 0 {
				t.Errorf("the list has %+v, %v", m, err)
			}
			got = append(got, m.MessageID)
		}
		if strings.Join(got, " ") != tt.want {
			t.Errorf("%+v: %v, want %s", tt.filter, got, tt.want)
		}
	}
}
