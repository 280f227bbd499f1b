package poison

import (
	"context"
	"slices"
	"time"

	"github.com/pitwheel/pitwheel/events"
)

// Selection names the messages that an operation is for.
type Selection struct {
	// IDs are the ids of poison messages. One that is repeated counts once.
	IDs []string
	// Filter selects messages if there are no IDs.
	Filter Filter
}

// Plan is what an operation would work on. It is complete: messages that fail for the
// first time, or once more, after the plan was made are left for another one.
type Plan struct {
	// Groups count the messages by handler and code, the largest group first.
	Groups []Group
	// Tally has the number of messages and, as problems, the ids that no message has.
	Tally Tally

	filter   Filter
	messages []Message // those selected by id, without bodies
	byID     bool
}

// Plan finds out what a selection means now, and changes nothing: it is the dry run of
// [Admin.Retry] and [Admin.Discard]. Ids that no message has are problems in the plan's
// tally; if the only id is one, that is an error with the code NOT_FOUND.
func (a *Admin) Plan(ctx context.Context, s Selection) (Plan, error) {
	p := Plan{filter: s.Filter, byID: len(s.IDs) > 0}
	groups, err := newGrouping("handler", "code")
	if err != nil {
		return p, err
	}
	ids := slices.Compact(slices.Sorted(slices.Values(s.IDs)))
	for _, id := range ids {
		m, err := a.Message(ctx, id)
		switch {
		case events.CodeOf(err) == events.CodeNotFound && len(ids) > 1:
			p.Tally.fail(err, Message{ID: id})
			continue
		case err != nil:
			return p, err
		}
		p.messages = append(p.messages, m.head())
		groups.add(m)
	}
	if !p.byID {
		var newest time.Time
		for m, err := range a.store.PoisonMessages(ctx, s.Filter, OldestFirst) {
			if err != nil {
				return p, err
			}
			groups.add(m)
			newest = m.LastFailedAt
		}
		p.filter.Before = newest.Add(time.Millisecond)
	}
	p.Groups = groups.sorted()
	p.Tally.Matched = groups.total + p.Tally.Failed
	return p, nil
}

// Tally counts what became of the messages of an operation.
type Tally struct {
	// Matched is how many messages the operation was for.
	Matched int `json:"matched"`
	// Done is how many were retried or discarded, by this operation or by another one.
	Done int `json:"done"`
	// FailedAgain is how many retried messages failed again, or were edited, before they
	// could be removed, or while they were followed. They are kept.
	FailedAgain int `json:"failed_again"`
	// Failed is how many messages nothing was done with. They are kept.
	Failed int `json:"failed"`
	// Followed says what became of the messages that are done. Nil: nobody has followed
	// them.
	*Followed
	// Problems say why, each different one once.
	Problems []Problem `json:"-"`
}

// Problem is why nothing was done with some messages, or why they have failed again.
type Problem struct {
	Err error
	// Count is how many messages have the problem, and First is one of them, without
	// stack, metadata and body. If no message was found, First has only the id.
	Count int
	First Message
	again bool // the messages have failed again
}

// Followed counts retried messages by what is known of them.
type Followed struct {
	// Handled is how many their handlers have processed.
	Handled int `json:"handled"`
	// Unknown is how many neither were processed nor have failed again, as far as can be
	// seen.
	Unknown int `json:"unknown"`
}

// fail counts messages that all have one problem.
func (t *Tally) fail(err error, messages ...Message) {
	if len(messages) == 0 {
		return
	}
	t.Failed += len(messages)
	i := slices.IndexFunc(t.Problems, func(p Problem) bool { return p.Err.Error() == err.Error() })
	if i < 0 {
		i = len(t.Problems)
		t.Problems = append(t.Problems, Problem{Err: err, First: messages[0].head()})
	}
	t.Problems[i].Count += len(messages)
}

// failedAgain counts a message that is a poison message again. The failures of a handler
// with one code are one problem, whatever their texts, which may hold what differs.
func (t *Tally) failedAgain(m Message) {
	t.Unknown--
	t.Done--
	t.FailedAgain++
	i := slices.IndexFunc(t.Problems, func(p Problem) bool { return p.again && p.First.Handler == m.Handler && p.First.Code == m.Code })
	if i < 0 {
		i = len(t.Problems)
		err := events.Errorf(m.Code, "%s failed again with %s, such as: %s", m.Handler, m.Code, m.Reason)
		t.Problems = append(t.Problems, Problem{Err: err, First: m.head(), again: true})
	}
	t.Problems[i].Count++
}
