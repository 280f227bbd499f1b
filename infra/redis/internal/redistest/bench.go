package redistest

import (
	"sync/atomic"
	"testing"
)

// Writers runs f b.N times in 50 goroutines.
func Writers(b *testing.B, f func() error) {
	b.Helper()
	const n = 50
	var next atomic.Int64
	b.ReportAllocs()
	b.ResetTimer()
	done := make(chan error, n)
	for range n {
		go func() {
			for {
				if int(next.Add(1)) > b.N {
					done <- nil
					return
				}
				if err := f(); err != nil {
					done <- err
					return
				}
			}
		}()
	}
	for range n {
		if err := <-done; err != nil {
			b.Error(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "ops/s")
}
