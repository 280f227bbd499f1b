package porttest_test

import (
	"testing"

	"github.com/pitwheel/pitwheel/router"
	"github.com/pitwheel/pitwheel/router/porttest"
)

// TestCheckpoints runs the suite of the package's example.
func TestCheckpoints(t *testing.T) {
	t.Parallel()
	porttest.TestCheckpoints(t, func(*testing.T) router.Checkpoints { return &positions{} })
}
