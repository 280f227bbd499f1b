package poison

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"regexp"

	"github.com/pitwheel/pitwheel/events"
)

// Export writes the messages that a filter selects as JSON lines, whole, the oldest
// failure first.
func (a *Admin) Export(ctx context.Context, f Filter, w io.Writer) error {
	return batches(a.store.PoisonMessages(ctx, f, OldestFirst), maxBatch, func(heads []Message) error {
		messages, err := a.whole(ctx, heads)
		if err != nil {
			return err
		}
		for _, m := range messages {
			line, err := m.MarshalJSON()
			if err != nil {
				return err
			}
			if _, err := w.Write(append(line, '\n')); err != nil {
				return err
			}
		}
		return nil
	})
}

// ImportTally counts what became of the lines of an import.
type ImportTally struct {
	Read     int `json:"read"`
	Imported int `json:"imported"`
	Present  int `json:"present"` // messages that the store had before, which stay as they are
	Failed   int `json:"failed"`  // lines that are not poison messages
	// Problems say why, for the first ten lines that failed.
	Problems []error `json:"-"`
}

// Import reads messages as JSON lines, as [Admin.Export] writes them, and stores those
// that the store does not have yet; so an import may be repeated. Lines that are not
// poison messages are problems in the tally. Any other error ends the import. Of the
// change only Who and Why are used.
func (a *Admin) Import(ctx context.Context, r io.Reader, c Change) (ImportTally, error) {
	var t ImportTally
	lines := bufio.NewReader(r)
	names := regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9._-]{0,199}$`)
	for number := 1; ; number++ {
		line, end := lines.ReadBytes('\n')
		if end != nil && end != io.EOF {
			return t, fmt.Errorf("reading line %d: %w", number, end)
		}
		if line = bytes.TrimSpace(line); len(line) > 0 {
			t.Read++
			switch added, err := a.importLine(ctx, line, names, c); {
			case err != nil && events.CodeOf(err) == events.CodeInvalid:
				if t.Failed++; t.Failed <= 10 {
					t.Problems = append(t.Problems, fmt.Errorf("line %d: %w", number, err))
				}
			case err != nil:
				return t, fmt.Errorf("line %d: %w", number, err)
			case added:
				t.Imported++
			default:
				t.Present++
			}
		}
		if end == io.EOF {
			return t, nil
		}
	}
}

// importLine stores the message of one line, unless the store has it, and reports whether
// it did.
func (a *Admin) importLine(ctx context.Context, line []byte, names *regexp.Regexp, c Change) (bool, error) {
	var m Message
	if err := json.Unmarshal(line, &m); err != nil {
		return false, events.Errorf(events.CodeInvalid, "it is not a poison message: %w", err)
	}
	switch {
	case !names.MatchString(m.Handler):
		return false, events.Errorf(events.CodeInvalid, "handler is %.80q, which is not a name", m.Handler)
	case !names.MatchString(m.Queue):
		return false, events.Errorf(events.CodeInvalid, "queue is %.80q, which is not a name", m.Queue)
	case m.Kind != kindCommand && m.Kind != kindReaction && m.Kind != kindProjection:
		return false, events.Errorf(events.CodeInvalid, "kind is %.80q; it must be command, reaction or projection", m.Kind)
	case m.ID != ID(m.Handler, m.MessageID):
		return false, events.Errorf(events.CodeInvalid, "id is %.80q; the poison message for message %s and handler %s has %s", m.ID, m.MessageID, m.Handler, ID(m.Handler, m.MessageID))
	case len(m.Body) == 0 && m.Size > 0:
		return false, events.Errorf(events.CodeInvalid, "the body of %d bytes is missing; lists leave it out, an export does not", m.Size)
	}
	m.Failures = max(1, m.Failures)
	return a.store.ImportPoison(ctx, m, c)
}
