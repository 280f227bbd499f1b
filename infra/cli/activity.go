package cli

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// activity shows what happens in dev as it happens, one line each.
type activity struct {
	mu  sync.Mutex
	out io.Writer
}

// report shows what has happened: what it is in one word, and the rest of the line.
func (a *activity) report(what, text string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	_, _ = fmt.Fprintf(a.out, "%s  %-8s  %s\n", time.Now().Format("15:04:05.000"), what, text)
}
