package cli

import (
	"fmt"
	"slices"

	"github.com/pitwheel/pitwheel/events"
)

// tally is what became of a verb, as it is printed.
type tally struct {
	Matched int `json:"matched"`
	Done    int `json:"done"`
	// FailedAgain are letters whose message had failed again by the time that the
	// letter was to be removed; it is kept.
	FailedAgain int `json:"failed_again"`
	// Failed are letters that nothing was done with. They are kept.
	Failed int `json:"failed"`

	problems []error // different ones, each with its number
	counts   []int
}

// fail counts letters that could not be worked on, all for one reason.
func (t *tally) fail(err error, n int) {
	t.Failed += n
	i := slices.IndexFunc(t.problems, func(p error) bool { return p.Error() == err.Error() })
	if i < 0 {
		i = len(t.problems)
		t.problems, t.counts = append(t.problems, err), append(t.counts, 0)
	}
	t.counts[i] += n
}

// report tells the problems of single letters on stderr, each different one once,
// and returns what they come to.
func (b *bulk) report(t *tally) error {
	for i, p := range t.problems {
		if i == 10 {
			_, _ = fmt.Fprintf(b.c.stderr, "… and %d more problems\n", len(t.problems)-i)
			break
		}
		_, _ = fmt.Fprintf(b.c.stderr, "%d × %s\n", t.counts[i], p)
	}
	switch {
	case t.Failed > 0 && t.Failed == t.Matched:
		return events.Errorf(events.CodeOf(t.problems[0]), "none of %d letters could be %s; they are kept", t.Matched, b.done)
	case t.Failed > 0:
		return events.Errorf(codePartly, "%d of %d letters could not be %s and are kept", t.Failed, t.Matched, b.done)
	}
	return nil
}
