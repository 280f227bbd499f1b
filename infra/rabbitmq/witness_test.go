package rabbitmq_test

import (
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/brokertest"
	"github.com/pitwheel/pitwheel/infra/rabbitmq"
)

// A witness knows the highest positions, whoever reads it at the same time, after its
// queue was deleted while it recorded, and through a lost connection.
func TestWitness_KnowsTheLastRecord(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	w, ctx := b.broker.Witness(), t.Context()
	if got, err := w.Witnessed(ctx); err != nil || got.Positions != nil || got.Epoch != 0 {
		t.Fatalf("a new witness knows %+v, %v", got, err)
	}
	record := func(epoch uint64, positions ...uint64) {
		t.Helper()
		confirmed, err := w.Record(ctx, events.Witnessed{Epoch: epoch, Positions: positions})
		if err == nil {
			err = confirmed()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	want := func(epoch uint64, positions ...uint64) {
		t.Helper()
		got, err := w.Witnessed(ctx)
		if diff := cmp.Diff(events.Witnessed{Epoch: epoch, Positions: positions}, got); err != nil || diff != "" {
			t.Fatalf("%v, (-want +got)\n%s", err, diff)
		}
	}
	record(0, 3, 0)
	want(0, 3, 0)
	want(0, 3, 0) // It is still there.

	var readers sync.WaitGroup
	last := uint64(300)
	for range 3 {
		other, err := rabbitmq.Open(rabbitmq.Config{URL: b.url, Namespace: b.ns})
		if err != nil {
			t.Fatal(err)
		}
		readers.Go(func() {
			defer func() { _ = other.Close() }()
			var before uint64
			for before < last {
				got, err := other.Witness().Witnessed(ctx)
				if err != nil {
					t.Error(err)
					return
				}
				if at := got.Positions.At(0); at < before {
					t.Errorf("position %d was witnessed after %d", at, before)
					return
				} else {
					before = at
				}
			}
		})
	}
	for at := uint64(4); at <= last; at++ {
		record(1, at, at/2)
	}
	readers.Wait()
	want(1, 300, 150)

	record(1, 299, 151) // An instance that was the leader before.
	want(1, 300, 151)

	if _, err := b.plain.QueueDelete(b.ns+".pitwheel.witness", false, false, false); err != nil {
		t.Fatal(err)
	}
	record(1, 301, 151)
	want(1, 301, 151)
	b.proxy.Cut()
	record(2, 302, 151)
	want(2, 302, 151)
}

// Through a restart of the broker.
func TestWitness_SurvivesARestart(t *testing.T) {
	if testing.Short() {
		t.Skip("a server of its own takes some seconds: run without -short")
	}
	t.Parallel()
	server := brokertest.StartRabbitMQ(t)
	b := newBenchAt(t, server.URL())
	w := b.broker.Witness()
	confirmed, err := w.Record(t.Context(), events.Witnessed{Positions: events.Cursor{7}})
	if err == nil {
		err = confirmed()
	}
	if err != nil {
		t.Fatal(err)
	}
	server.Stop()
	server.Start()
	eventually(t, "the record after the broker was restarted", func() bool {
		got, err := w.Witnessed(t.Context())
		return err == nil && got.Positions.At(0) == 7
	})
}
