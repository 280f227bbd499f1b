package cli

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"time"

	"github.com/spf13/cobra"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/redis/poisonstore"
	"github.com/pitwheel/pitwheel/router"
	"github.com/pitwheel/pitwheel/router/poison"
)

func (c *cli) poisonExport() *cobra.Command {
	var p picking
	cmd := &cobra.Command{
		Use: "export", Args: none,
		Short: "Letters as JSON lines, whole, for `poison import` and other tools",
		RunE:  func(cmd *cobra.Command, _ []string) error { return c.exportLetters(cmd.Context(), &p) },
	}
	p.flags(c, cmd)
	return cmd
}

func (c *cli) exportLetters(ctx context.Context, p *picking) error {
	if c.format != formatTable && c.format != formatJSONL {
		return usagef("-o is %q; `poison export` writes JSON lines", c.format)
	}
	filter, err := p.filter(time.Now())
	if err != nil {
		return err
	}
	client, err := c.reach(ctx, storeOnly)
	if err != nil {
		return err
	}
	defer client.Close()
	out := bufio.NewWriter(c.stdout)
	lines := printer{out: out, format: formatJSONL}
	var batch []string
	bytes := 0
	flush := func() error {
		letters, err := client.store.LoadPoison(ctx, batch...)
		batch, bytes = batch[:0], 0
		for _, l := range letters {
			if err == nil {
				err = lines.json(l)
			}
		}
		return err
	}
	for l, err := range client.store.PoisonMessages(ctx, filter, poisonstore.OldestFirst) {
		if err == nil && (len(batch) == bulkBatch || len(batch) > 0 && bytes+l.Size > bulkBytes) {
			err = flush()
		}
		if err != nil {
			return errors.Join(err, out.Flush())
		}
		batch, bytes = append(batch, l.ID), bytes+l.Size
	}
	return errors.Join(flush(), out.Flush())
}

// importView says what became of an import.
type importView struct {
	Read     int `json:"read"`
	Imported int `json:"imported"`
	Present  int `json:"present"` // those that were there already, and stay as they are
	Failed   int `json:"failed"`
}

func (c *cli) poisonImport() *cobra.Command {
	var why string
	cmd := &cobra.Command{
		Use: "import FILE|-", Args: exactly("a file of JSON lines, or - for stdin"),
		Short: "Letters that `poison export` has written",
		Long:  "Read letters as JSON lines. One that is there already stays as it is, so that an import may be repeated.",
		RunE:  func(cmd *cobra.Command, args []string) error { return c.importLetters(cmd.Context(), args[0], why) },
	}
	cmd.Flags().StringVar(&why, "reason", "", "why, for the audit trail")
	return cmd
}

func (c *cli) importLetters(ctx context.Context, name, why string) error {
	in, err := c.open(ctx, name)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	client, err := c.reach(ctx, storeOnly)
	if err != nil {
		return err
	}
	defer client.Close()
	change := poison.Change{Who: c.who(), Why: why}
	lines := bufio.NewReader(in)
	var v importView
	for number := 1; ; number++ {
		line, err := lines.ReadBytes('\n')
		if err != nil && err != io.EOF {
			return fmt.Errorf("reading %s: %w", name, err)
		}
		if line = bytes.TrimSpace(line); len(line) > 0 {
			v.Read++
			switch added, err := client.importLetter(ctx, line, change); {
			case events.CodeOf(err) == events.CodeInvalid && err != nil:
				v.Failed++
				if v.Failed <= 10 {
					_, _ = fmt.Fprintf(c.stderr, "line %d: %s\n", number, err)
				}
			case err != nil:
				return fmt.Errorf("line %d: %w", number, err)
			case added:
				v.Imported++
			default:
				v.Present++
			}
		}
		if err == io.EOF {
			break
		}
	}
	switch {
	case v.Failed > 0 && v.Failed == v.Read:
		return events.Errorf(events.CodeInvalid, "none of the %d lines is a letter", v.Read)
	case v.Failed > 0:
		err = events.Errorf(codePartly, "%d of %d lines are no letters", v.Failed, v.Read)
	}
	return errors.Join(printOne(c.printer(), v), err)
}

// importLetter keeps the letter of one line, unless it is there. What is wrong with
// the line is an error with the code INVALID.
func (c *client) importLetter(ctx context.Context, line []byte, change poison.Change) (bool, error) {
	var l poison.Message
	if err := json.Unmarshal(line, &l); err != nil {
		return false, events.Errorf(events.CodeInvalid, "it is no letter: %w", err)
	}
	if err := checkLetter(l); err != nil {
		return false, err
	}
	l.Failures = max(1, l.Failures)
	return c.store.ImportPoison(ctx, l, change)
}

// checkLetter tells what keeps a text that looks like a letter from being one.
func checkLetter(l poison.Message) error {
	names := regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9._-]{0,199}$`)
	switch {
	case !names.MatchString(l.Handler):
		return events.Errorf(events.CodeInvalid, "handler is %.80q, which is no name", l.Handler)
	case !names.MatchString(l.Queue):
		return events.Errorf(events.CodeInvalid, "queue is %.80q, which is no name", l.Queue)
	case l.Kind != string(router.KindCommand) && l.Kind != string(router.KindReaction) && l.Kind != string(router.KindProjection):
		return events.Errorf(events.CodeInvalid, "kind is %.80q; it must be command, reaction or projection", l.Kind)
	case l.ID != poison.ID(l.Handler, l.MessageID):
		return events.Errorf(events.CodeInvalid, "id is %.80q; the letter of message %s for %s has %s", l.ID, l.MessageID, l.Handler, poison.ID(l.Handler, l.MessageID))
	case len(l.Body) == 0 && l.Size > 0:
		return events.Errorf(events.CodeInvalid, "the body of %d bytes is missing; `poison list` leaves it out, `poison export` does not", l.Size)
	}
	return nil
}
