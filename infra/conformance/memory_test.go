package conformance_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/pitwheel/pitwheel/router"
	"github.com/pitwheel/pitwheel/router/porttest"
	"github.com/pitwheel/pitwheel/router/routertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestMemory(t *testing.T) {
	t.Parallel()
	runStores(t, func(*testing.T) store {
		return struct {
			*routertest.Store
			*routertest.PoisonStore
		}{&routertest.Store{}, &routertest.PoisonStore{}}
	})
	t.Run("Transport", func(t *testing.T) {
		t.Parallel()
		porttest.TestTransport(t, func(*testing.T) router.Transport { return &routertest.Transport{} })
	})
}
