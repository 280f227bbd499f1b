package rabbitmq_test

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/pubsub/tests"

	"github.com/pitwheel/pitwheel/infra/brokertest"
	"github.com/pitwheel/pitwheel/infra/rabbitmq"
	"github.com/pitwheel/pitwheel/router"
)

// perTopic creates a subscriber for each topic, as the suite subscribes one object to
// several. Messages of the suite have no type. SubscribeInitialize is the suite's way to
// declare a topic before it publishes.
type perTopic struct {
	t      *testing.T
	broker *rabbitmq.Broker
	url    string
	ns     string
	group  string
	order  bool

	mu   sync.Mutex
	subs []router.Subscriber
}

func (p *perTopic) subscriber(topic string) (router.Subscriber, error) {
	cfg := router.Subscription{Handler: "suite", Topic: topic, Types: []string{"#"}, Queue: topic + p.group}
	if p.order {
		cfg.Ordered = true
		cfg.Key = func(*message.Message) string { return "all" }
	}
	return p.broker.Subscriber(cfg)
}

func (p *perTopic) Subscribe(ctx context.Context, topic string) (<-chan *message.Message, error) {
	s, err := p.subscriber(topic)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.subs = append(p.subs, s)
	return s.Subscribe(ctx, topic)
}

func (p *perTopic) SubscribeInitialize(topic string) error {
	s, err := p.subscriber(topic)
	if err != nil {
		return err
	}
	brokertest.CleanAMQP(p.t, p.url, []string{p.ns + "." + topic + p.group}, []string{p.ns + "." + topic})
	// Some tests leave a subscriber open for a while, and it would declare the queue
	// again. Cleanups run in reverse order.
	p.t.Cleanup(func() { _ = p.Close() })
	return errors.Join(s.Declare(context.Background()), s.Close())
}

func (p *perTopic) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all sync.WaitGroup
	errs := make([]error, len(p.subs))
	for i, s := range p.subs {
		all.Go(func() { errs[i] = s.Close() })
	}
	all.Wait()
	p.subs = nil
	return errors.Join(errs...)
}

// TestWatermillSuite runs Watermill's suite for transports: once with strict order, once
// with many messages at a time.
func TestWatermillSuite(t *testing.T) {
	t.Parallel()
	for name, order := range map[string]bool{"ordered": true, "parallel": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url, ns := brokertest.AMQP(t), brokertest.Namespace(t)
			broker, err := rabbitmq.Open(rabbitmq.Config{URL: url, Namespace: ns})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = broker.Close() })
			group := func(t *testing.T, group string) (message.Publisher, message.Subscriber) {
				p := &perTopic{t: t, broker: broker, url: url, ns: ns, group: group, order: order}
				t.Cleanup(func() { _ = p.Close() })
				return broker.Publisher(), p
			}
			tests.TestPubSub(t, tests.Features{
				ConsumerGroups: true, Persistent: true, GuaranteedOrder: order,
				ForceShort: true, // The long form takes minutes, and adds only numbers.
			}, func(t *testing.T) (message.Publisher, message.Subscriber) { return group(t, ".q") }, group)
		})
	}
}
