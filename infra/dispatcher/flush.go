package dispatcher

import "context"

// generation counts the items that were accepted between two calls of Flush and are not
// done yet. Without callers of Flush there is one generation, and a delivery costs what
// counting it costs.
type generation struct {
	left int
	done chan struct{} // closed when this one and all older ones have nothing left
	next *generation
}

func newGeneration() *generation { return &generation{done: make(chan struct{})} }

// Flush returns nil once [Config].Done has been called for every delivery that Push accepted
// before the call, whatever is accepted meanwhile. It returns ctx's error if ctx ends first.
// A message that waits for its next attempt is not done.
func (d *Dispatcher[D]) Flush(ctx context.Context) error {
	done := d.beginGeneration()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// beginGeneration ends the present generation, and returns what is closed once nothing is
// left of it and of older ones.
func (d *Dispatcher[D]) beginGeneration() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	ended := d.present
	d.present = newGeneration()
	ended.next = d.present
	d.closeGenerations()
	return ended.done
}

// leave removes an item that is done from its generation. It is called with mu held.
func (d *Dispatcher[D]) leave(g *generation) {
	if g.left--; g.left == 0 && g == d.oldest {
		d.closeGenerations()
	}
}

// closeGenerations closes the oldest generations of which nothing is left, but never the
// present one. It is called with mu held.
func (d *Dispatcher[D]) closeGenerations() {
	for d.oldest != d.present && d.oldest.left == 0 {
		close(d.oldest.done)
		d.oldest = d.oldest.next
	}
}
