package lease

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// The goroutine that renews a lease may run late after a pause of the process.
func TestTerm_Err_KnowsTheClock(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		held, drop := newTerm(t.Context(), time.Now().Add(ttl))
		defer drop()
		child, cancel := context.WithCancel(held)
		defer cancel()
		<-time.After(ttl - time.Second)
		held.extend(time.Now().Add(ttl))
		<-time.After(ttl - time.Second)
		if err := held.Err(); err != nil {
			t.Errorf("a lease that is held: %v", err)
		}
		<-time.After(time.Second)
		if held.Err() == nil {
			t.Error("a lease that has expired is held")
		}
		<-child.Done() // What depends on it ends, too.
	})
}
