package router

import "context"

func epochOf(r LogReader) func(context.Context) (string, error) {
	if e, ok := r.(interface {
		Epoch(context.Context) (string, error)
	}); ok {
		return e.Epoch
	}
	return func(context.Context) (string, error) { return "none", nil }
}

func flush(ctx context.Context, s Subscriber) error { return s.(Flusher).Flush(ctx) }
