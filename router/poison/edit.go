package poison

import (
	"bytes"
	"context"
	"encoding/json"
	"unicode/utf8"

	"github.com/pitwheel/pitwheel/events"
)

// EditableBody returns a message's body as a text for an editor: JSON on one line is
// indented, anything else is as it is. A body that is not UTF-8 is an error with the code
// INVALID.
func EditableBody(m Message) ([]byte, error) {
	if !utf8.Valid(m.Body) {
		return nil, events.Errorf(events.CodeInvalid, "the body of poison message %s is not UTF-8 text, so that no editor can open it", m.ID)
	}
	text, _ := indented(m.Body)
	return text, nil
}

// Edit replaces the body of a message by a text that began as its [EditableBody], and
// returns the message as it is then. The text must be a message that can be read and has
// the same id; if not, the error has the code INVALID. If the message has failed again or
// was edited since it was read, the code is VERSION_CONFLICT; if it is gone, NOT_FOUND.
// Of the change only Who and Why are used.
func (a *Admin) Edit(ctx context.Context, m Message, text []byte, c Change) (Message, error) {
	body, err := editedBody(m, text)
	if err != nil {
		return m, err
	}
	return a.store.EditPoison(ctx, m, body, c)
}

func editedBody(m Message, text []byte) ([]byte, error) {
	body := bytes.TrimSpace(text)
	if !json.Valid(body) {
		return nil, events.Errorf(events.CodeInvalid, "the edited body of poison message %s is not JSON", m.ID)
	}
	if _, was := indented(m.Body); was {
		var out bytes.Buffer
		if err := json.Compact(&out, body); err != nil {
			return nil, err
		}
		body = out.Bytes()
	}
	e, err := events.Decode(body, events.Header{ID: m.MessageID, Type: m.Type})
	if err != nil {
		return nil, events.Errorf(events.CodeInvalid, "the edited body of poison message %s: %w", m.ID, err)
	}
	// The id of a command is a UUID, which one of another form in the body is hashed into.
	if e.ID != m.MessageID && events.NormalizeID(e.ID) != m.MessageID {
		return nil, events.Errorf(events.CodeInvalid, "the edited body of poison message %s has the id %s; it must stay %s, by which a repeated message is recognised", m.ID, e.ID, m.MessageID)
	}
	return body, nil
}

// indented returns JSON on one line as it is comfortable to edit, and whether it was that.
func indented(body []byte) ([]byte, bool) {
	var out bytes.Buffer
	if bytes.ContainsRune(body, '\n') || json.Indent(&out, body, "", "  ") != nil {
		return body, false
	}
	out.WriteByte('\n')
	return out.Bytes(), true
}
