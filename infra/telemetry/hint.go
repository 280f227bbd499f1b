package telemetry

import (
	"context"
	"log/slog"
)

// WithHint returns a logger that adds a hint to each line that has an attribute with the
// given key: hint is called with its value.
func WithHint(l *slog.Logger, key string, hint func(value string) string) *slog.Logger {
	return slog.New(hinting{l.Handler(), key, hint})
}

type hinting struct {
	slog.Handler
	key  string
	hint func(string) string
}

func (h hinting) Handle(ctx context.Context, r slog.Record) error {
	value := ""
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == h.key {
			value = a.Value.String()
		}
		return value == ""
	})
	if value != "" {
		r = r.Clone()
		r.AddAttrs(slog.String("hint", h.hint(value)))
	}
	return h.Handler.Handle(ctx, r)
}

func (h hinting) WithAttrs(attrs []slog.Attr) slog.Handler {
	return hinting{h.Handler.WithAttrs(attrs), h.key, h.hint}
}

func (h hinting) WithGroup(name string) slog.Handler {
	return hinting{h.Handler.WithGroup(name), h.key, h.hint}
}
