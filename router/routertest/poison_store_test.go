package routertest_test

import (
	"testing"
	"time"

	"github.com/pitwheel/pitwheel/router/poison"
	"github.com/pitwheel/pitwheel/router/routertest"
)

// The contract suite of router/porttest checks the rest.
func TestPoisonStore_Of(t *testing.T) {
	t.Parallel()
	var s routertest.PoisonStore
	at := time.Date(2026, 11, 27, 10, 0, 0, 0, time.UTC)
	for _, m := range []poison.Message{
		{Handler: "a", MessageID: "2", FirstFailedAt: at.Add(time.Minute), LastFailedAt: at.Add(time.Minute)},
		{Handler: "b", MessageID: "3", FirstFailedAt: at, LastFailedAt: at},
		{Handler: "a", MessageID: "1", FirstFailedAt: at, LastFailedAt: at.Add(time.Hour), Body: []byte("whole")},
	} {
		m.ID = poison.ID(m.Handler, m.MessageID)
		if err := s.StorePoison(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	got := s.Of("a")
	if len(got) != 2 || got[0].MessageID != "1" || got[1].MessageID != "2" || string(got[0].Body) != "whole" || got[0].Revision != 0 {
		t.Errorf("the messages of a, by their first failure: %+v", got)
	}
}
