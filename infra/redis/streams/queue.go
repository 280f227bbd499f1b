package streams

import (
	"context"
	"strings"

	"github.com/pitwheel/pitwheel/infra/redis/conn"
)

// HasQueue reports whether a queue was ever declared, so that what is published into it
// is consumed now or later.
func (t *Transport) HasQueue(ctx context.Context, name string) (bool, error) {
	reply, err := t.conn.Do(ctx, "xinfo", "groups", t.streamKey(name))
	if err != nil {
		if strings.Contains(err.Error(), "no such key") {
			return false, nil
		}
		return false, err
	}
	groups, _ := reply.([]any)
	for _, g := range groups {
		fields, _ := g.([]any)
		if is, _ := conn.FieldText(fields, "name"); is == name {
			return true, nil
		}
	}
	return false, nil
}
