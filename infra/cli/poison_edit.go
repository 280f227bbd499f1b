package cli

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"

	"github.com/pitwheel/pitwheel/infra/cli/internal/input"
	"github.com/pitwheel/pitwheel/router/poison"
)

// editPoison opens a message's body in an editor, stores the edited one, and reports
// whether it was edited.
func (c *cli) editPoison(ctx context.Context, admin *poison.Admin, id, why string) (bool, error) {
	m, err := admin.Message(ctx, id)
	if err != nil {
		return false, explainMissing(err)
	}
	before, err := poison.EditableBody(m)
	if err != nil {
		return false, asError(err).WithHint("`%s poison export`, change body_base64, discard the message, and `poison import`", program())
	}
	file, err := os.CreateTemp("", "pitwheel-poison-*.json")
	if err != nil {
		return false, err
	}
	_, err = file.Write(before)
	if err = cmp.Or(err, file.Close()); err == nil {
		err = c.runEditor(ctx, file.Name())
	}
	var after []byte
	if err == nil {
		after, err = os.ReadFile(file.Name())
	}
	if err != nil {
		return false, fmt.Errorf("editing poison message %s: %w", id, err)
	}
	if bytes.Equal(before, after) {
		_ = os.Remove(file.Name())
		_, _ = fmt.Fprintln(c.stderr, "nothing is changed, so nothing is retried")
		return false, nil
	}
	if _, err := admin.Edit(ctx, m, after, poison.Change{Who: c.who(), Why: why}); err != nil {
		e := asError(err)
		e.Message += "; what you wrote is kept in " + file.Name()
		return false, e
	}
	_ = os.Remove(file.Name())
	return true, nil
}

// runEditor opens a file in the editor of the environment, and waits for it.
func (c *cli) runEditor(ctx context.Context, file string) error {
	editor := cmp.Or(c.env("VISUAL"), c.env("EDITOR"))
	if editor == "" {
		return input.Usagef("--edit needs an editor: set EDITOR, such as EDITOR=vi")
	}
	// The shell splits what may be an editor with arguments.
	cmd := exec.CommandContext(ctx, "sh", "-c", editor+` "$1"`, "sh", file)
	cmd.Env = c.environ
	cmd.Stdin, cmd.Stdout, cmd.Stderr = c.stdin, c.stderr, c.stderr // stdout is for data
	return cmd.Run()
}
