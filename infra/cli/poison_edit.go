package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"unicode/utf8"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router/poison"
)

// editLetter has a letter's body edited, keeps the new one, and tells whether
// there is a new one.
func (c *cli) editLetter(ctx context.Context, b *bulk, id string) (bool, error) {
	l, err := b.client.store.PoisonMessage(ctx, id)
	if err != nil {
		return false, err
	}
	if !utf8.Valid(l.Body) {
		return false, events.Errorf(events.CodeInvalid, "the body of letter %s is no text, so that no editor can open it", id).
			WithHint("`%s poison export`, change body_base64, discard the letter, and `poison import`", program())
	}
	before, indented := indentJSON(l.Body)
	file, err := os.CreateTemp("", "pitwheel-letter-*.json")
	if err != nil {
		return false, err
	}
	_, err = file.Write(before)
	if closed := file.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = c.runEditor(ctx, file.Name())
	}
	var after []byte
	if err == nil {
		after, err = os.ReadFile(file.Name())
	}
	if err != nil {
		return false, fmt.Errorf("editing letter %s: %w", id, err)
	}
	if bytes.Equal(before, after) {
		_ = os.Remove(file.Name())
		_, _ = fmt.Fprintln(c.stderr, "nothing is changed, so nothing is retried")
		return false, nil
	}
	body, err := editedBody(l, after, indented)
	if err != nil {
		return false, events.Errorf(events.CodeInvalid, "%w; what you wrote is kept in %s", err, file.Name())
	}
	_ = os.Remove(file.Name())
	_, err = b.client.store.EditPoison(ctx, l, body, poison.Change{Who: c.who(), Why: b.why})
	return err == nil, err
}

// editedBody checks an edited body: it must be a message that can be read, and
// still be the same one.
func editedBody(l poison.Message, text []byte, compact bool) ([]byte, error) {
	if !json.Valid(text) {
		return nil, fmt.Errorf("the edited body of letter %s is no JSON", l.ID)
	}
	body := bytes.TrimSpace(text)
	if compact {
		var out bytes.Buffer
		if err := json.Compact(&out, body); err != nil {
			return nil, err
		}
		body = out.Bytes()
	}
	e, err := events.Decode(body, events.Header{ID: l.MessageID, Type: l.Type})
	if err != nil {
		return nil, fmt.Errorf("the edited body of letter %s: %w", l.ID, err)
	}
	if e.ID != l.MessageID {
		return nil, fmt.Errorf("the edited body of letter %s has the id %s; it must stay %s, by which a repeated message is known", l.ID, e.ID, l.MessageID)
	}
	return body, nil
}

// indentJSON is a body as it is comfortable to edit, and whether it has to be
// compacted again.
func indentJSON(body []byte) ([]byte, bool) {
	var out bytes.Buffer
	if json.Indent(&out, body, "", "  ") != nil || bytes.ContainsRune(body, '\n') {
		return body, false
	}
	out.WriteByte('\n')
	return out.Bytes(), true
}

// runEditor opens a file in the editor of the environment, and waits for it.
func (c *cli) runEditor(ctx context.Context, file string) error {
	editor := c.env("VISUAL")
	if editor == "" {
		editor = c.env("EDITOR")
	}
	if editor == "" {
		return usagef("--edit needs an editor: set EDITOR, such as EDITOR=vi")
	}
	// The shell splits what may be an editor with arguments.
	cmd := exec.CommandContext(ctx, "sh", "-c", editor+` "$1"`, "sh", file)
	cmd.Env = c.environ
	cmd.Stdin, cmd.Stdout, cmd.Stderr = c.stdin, c.stderr, c.stderr // stdout is for data
	return cmd.Run()
}
