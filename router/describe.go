package router

import "github.com/pitwheel/pitwheel/events"

// HandlerInfo describes a declared handler with its effective settings.
type HandlerInfo struct {
	Name string
	Kind Kind
	// Consumes are the wire names of the types that it receives.
	Consumes []string
	// Topic and Queue are empty for a projection, which reads the log.
	Topic string
	Queue string
	// Settings are all that an operator may see, each with its source.
	Settings []Setting
}

// Describe checks all declarations as [New] does, and describes them in their order.
// The error joins everything that is wrong; each part names its handler.
func Describe(c *events.Catalogue, handlers []Handler, overrides map[string]Overrides) ([]HandlerInfo, error) {
	plans, err := check(c, handlers, overrides)
	if err != nil {
		return nil, err
	}
	out := make([]HandlerInfo, len(plans))
	for i, p := range plans {
		out[i] = HandlerInfo{Name: p.name, Kind: p.Kind(), Consumes: p.consumed(), Topic: p.topic, Settings: p.settings}
		if p.Kind() != KindProjection {
			out[i].Queue = p.policy.Queue
		}
	}
	return out, nil
}
