// Package subscription has what the subscribers of all transports share: the checks and
// defaults of a [router.Subscription], and the life of what they have subscribed ([Set]).
package subscription

import (
	"slices"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router"
)

// Checked validates a subscription and fills in the defaults. An error has the code CONFIG
// and names the field.
func Checked(c router.Subscription) (router.Subscription, error) {
	switch {
	case c.Queue == "":
		return c, events.Errorf(events.CodeConfig, "the subscription of handler %q names no queue", c.Handler).WithField("Queue")
	case c.Topic == "" && len(c.Types)+len(c.Unbind) > 0:
		return c, events.Errorf(events.CodeConfig, "the subscription of handler %q has the types %q and no topic", c.Handler, slices.Concat(c.Types, c.Unbind)).WithField("Topic")
	case c.Concurrency < 0:
		return c, events.Errorf(events.CodeConfig, "the concurrency of handler %q is negative: %d", c.Handler, c.Concurrency).WithField("Concurrency")
	case c.Prefetch < 0:
		return c, events.Errorf(events.CodeConfig, "the prefetch of handler %q is negative: %d", c.Handler, c.Prefetch).WithField("Prefetch")
	}
	if c.Concurrency == 0 {
		c.Concurrency = 16
	}
	if c.Prefetch == 0 {
		c.Prefetch = max(1024, 4*c.Concurrency)
	}
	if c.Key == nil {
		c.Key = func(m *message.Message) string { return m.Metadata[events.MetaAggregateID] }
	}
	return c, nil
}
