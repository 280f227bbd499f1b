package router_test

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router"
	"github.com/pitwheel/pitwheel/router/routertest"
	"github.com/pitwheel/pitwheel/router/routertest/sample"
)

// An id belongs to one command on one aggregate: sent again, the command changes nothing
// and counts as a duplicate; another command under the id is an error, and not sent.
func TestCommands_Send_ID(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	metrics, err := router.NewMetrics(registry)
	if err != nil {
		t.Fatal(err)
	}
	kit := routertest.StartWith(t, func(c *router.Config) { c.Metrics = metrics }, catalogue(t),
		router.Decide("create", func(_ context.Context, c sample.Create, _ sample.User) ([]events.Data, error) {
			return []events.Data{sample.Created{UserID: c.UserID, Email: c.Email, Name: c.Name}}, nil
		}),
		router.Decide("change", func(context.Context, sample.ChangeEmail, sample.User) ([]events.Data, error) { return nil, nil }))
	const id = "order 7"
	send := func(c events.Command) (events.Outcome, error) {
		t.Helper()
		receipt, err := kit.Commands().Send(t.Context(), c, events.SendOptions{ID: id})
		if err != nil {
			return events.Outcome{}, err
		}
		kit.Settle()
		return kit.Commands().Await(t.Context(), receipt)
	}
	create := sample.Create{UserID: ada, Email: "a@example.com", Name: "Ada"}
	first, err := send(create)
	if err != nil || len(first.Events) != 1 {
		t.Fatalf("the outcome is %+v, %v", first, err)
	}
	if again, err := send(create); err != nil || !cmp.Equal(again, first) {
		t.Errorf("sent again: %v %s", err, cmp.Diff(first, again))
	}
	if _, err := send(sample.ChangeEmail{UserID: ada, Email: "b@example.com"}); events.CodeOf(err) != events.CodeIDInUse {
		t.Errorf("another command on the aggregate ends with %v", err)
	}
	create.UserID = bob
	if other, err := send(create); err != nil || other.AggregateID != bob || cmp.Equal(other.Events, first.Events) {
		t.Errorf("the command on another aggregate: %+v, %v", other, err)
	}
	err = testutil.CollectAndCompare(registry, strings.NewReader(`
		# HELP pitwheel_commands_total Commands decided, by result.
		# TYPE pitwheel_commands_total counter
		pitwheel_commands_total{command="CREATE_USER",result="accepted"} 2
		pitwheel_commands_total{command="CREATE_USER",result="duplicate"} 1
	`), "pitwheel_commands_total")
	if err != nil {
		t.Error(err)
	}
}

// A command may lead to no events at all, which is not the same as an unknown outcome.
func TestCommands_Await_AcceptedWithoutEvents(t *testing.T) {
	t.Parallel()
	kit := routertest.Start(t, catalogue(t),
		router.Decide("change", func(context.Context, sample.ChangeEmail, sample.User) ([]events.Data, error) { return nil, nil }))
	receipt, err := kit.Commands().Send(t.Context(), sample.ChangeEmail{UserID: ada, Email: "b@example.com"}, events.SendOptions{})
	if err != nil {
		t.Fatal(err)
	}
	kit.Settle()
	if o, err := kit.Commands().Await(t.Context(), receipt); err != nil || o.Events == nil || len(o.Events) > 0 {
		t.Errorf("the events are %#v, %v", o.Events, err)
	}
}
