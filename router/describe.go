package router

import "github.com/pitwheel/pitwheel/events"

// HandlerInfo describes one declared handler with its effective settings.
type HandlerInfo struct {
	Name     string
	Kind     Kind
	Consumes []string
	// Topic and Queue are empty for a projection, which reads the log.
	Topic    string
	Queue    string
	Settings []Setting
}

// Describe checks all declarations and returns what they come to, in their
// order. All errors are found at once; each names its handler.
func Describe(c *events.Catalogue, handlers []Handler, tuning map[string]Overrides) ([]HandlerInfo, error) {
	plans, err := check(c, handlers, tuning)
	if err != nil {
		return nil, err
	}
	out := make([]HandlerInfo, len(plans))
	for i, p := range plans {
		out[i] = HandlerInfo{Name: p.name, Kind: p.kind, Consumes: p.types, Topic: p.topic, Settings: p.settings}
		if p.kind != KindProjection {
			out[i].Queue = p.policy.Queue
		}
	}
	return out, nil
}
