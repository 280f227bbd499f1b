package rabbitmq_test

import (
	"context"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/go-cmp/cmp"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/brokertest"
	"github.com/pitwheel/pitwheel/infra/rabbitmq"
)

// delayed returns a bench whose queue has the given delay tiers, which are removed at the end.
func delayed(t *testing.T, tiers ...string) *bench {
	t.Helper()
	b := newBench(t)
	var queues []string
	for _, r := range tiers {
		queues = append(queues, b.ns+".q.retry."+r)
	}
	brokertest.CleanAMQP(t, b.url, queues, nil)
	return b
}

func TestBroker_Delay_MessageArrivesUnchangedAndNotTooSoon(t *testing.T) {
	t.Parallel()
	for _, queueType := range []string{rabbitmq.Quorum, rabbitmq.Classic} {
		t.Run(queueType, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, func(c *rabbitmq.Config) { c.QueueType = queueType })
			brokertest.CleanAMQP(t, b.url, []string{b.ns + ".q.retry.1s", b.ns + ".q.retry.2s"}, nil)
			out := b.subscribe(b.subscriber())
			msg := created("0190f3c2-0000-7000-8000-000000000001")
			msg.Metadata.Set(events.MetaAttempts, "3")
			msg.Metadata.Set("x-death", "of another life")
			began := time.Now()
			for _, d := range []time.Duration{300 * time.Millisecond, 1100 * time.Millisecond} {
				if err := b.broker.Delay(t.Context(), "q", d, msg); err != nil {
					t.Fatal(err)
				}
			}
			for _, atLeast := range []time.Duration{time.Second, 2 * time.Second} {
				got := receive(t, out)
				if spent := time.Since(began); spent < atLeast {
					t.Errorf("it came after %s, wanted %s", spent, atLeast)
				}
				for _, name := range []string{"x-death", "x-first-death-queue", "x-first-death-reason", "x-first-death-exchange", "x-delivery-count", "x-last-death-queue", "x-last-death-reason", "x-last-death-exchange"} {
					delete(got.Metadata, name) // Added by the broker.
				}
				want := message.Metadata{events.MetaType: "USER_CREATED", events.MetaAttempts: "3", events.MetaAppID: "pitwheel"}
				if diff := cmp.Diff(want, got.Metadata); diff != "" {
					t.Errorf("metadata differs (-want +got):\n%s", diff)
				}
				if got.UUID != msg.UUID || string(got.Payload) != string(msg.Payload) {
					t.Errorf("a different message: %s %s", got.UUID, got.Payload)
				}
				got.Ack()
			}
			for _, tier := range []string{"1s", "2s"} {
				eventually(t, "the tier is empty", func() bool { return b.depth("q.retry."+tier) == 0 })
			}
		})
	}
}

// The queue of a tier that somebody deletes is declared again, also on the same connection.
func TestBroker_Delay_DeletedTierIsDeclaredAgain(t *testing.T) {
	t.Parallel()
	b := delayed(t, "1s")
	out := b.subscribe(b.subscriber())
	for range 2 {
		if err := b.broker.Delay(t.Context(), "q", 10*time.Millisecond, created("0190f3c2-0000-7000-8000-000000000001")); err != nil {
			t.Fatal(err)
		}
		receive(t, out).Ack()
		if _, err := b.plain.QueueDelete(b.ns+".q.retry.1s", false, false, false); err != nil {
			t.Fatal(err)
		}
	}
}

// A delayed message outlives the process that has delayed it.
func TestBroker_Delay_SurvivesLostConnection(t *testing.T) {
	t.Parallel()
	b := delayed(t, "1s")
	s := b.subscriber()
	all := ids(200)
	msgs := make([]*message.Message, len(all))
	for i, id := range all {
		msgs[i] = created(id)
	}
	if err := b.broker.Delay(t.Context(), "q", time.Second, msgs...); err != nil {
		t.Fatal(err)
	}
	b.proxy.Cut()
	out := b.subscribe(s)
	got := map[string]bool{}
	for len(got) < len(all) {
		m := receive(t, out)
		got[m.UUID] = true
		m.Ack()
	}
}

func TestBroker_Delay_HonoursContext(t *testing.T) {
	t.Parallel()
	b := delayed(t, "1s")
	b.proxy.Down()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	err := b.broker.Delay(ctx, "q", time.Second, created("0190f3c2-0000-7000-8000-000000000001"))
	if code := events.CodeOf(err); code != events.CodeUnavailable && code != events.CodeTimeout {
		t.Errorf("the error is %v", err)
	}
}
