package users_test

import (
	"testing"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/events/users"
)

// TestSamples has every sample command pass its own check, as those of a careful
// service would.
func TestSamples(t *testing.T) {
	t.Parallel()
	next, kinds := users.Samples(), map[string]bool{}
	for range 1000 {
		c := next()
		kinds[c.CommandType()] = true
		if err := c.(events.Validator).Validate(); err != nil {
			t.Fatalf("%+v: %v", c, err)
		}
	}
	if len(kinds) != 3 {
		t.Errorf("only %v were sent", kinds)
	}
	for range 100 {
		if _, ok := users.Samples()().(users.Create); !ok {
			t.Fatal("a command is for a user that nobody has created")
		}
	}
	if err := users.Sample().(events.Validator).Validate(); err != nil {
		t.Error(err)
	}
}
