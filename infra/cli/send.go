package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/cli/internal/input"
	"github.com/pitwheel/pitwheel/infra/cli/internal/output"
	"github.com/pitwheel/pitwheel/infra/settings"
)

// sending holds the flags of send.
type sending struct {
	fields  []string
	data    string
	id      input.Text
	wait    bool
	timeout input.Duration
}

func (c *cli) send() *cobra.Command {
	s := sending{timeout: input.Duration(10 * time.Second)}
	cmd := &cobra.Command{
		Use:   "send TYPE [-f field=value]… [-d JSON|@file|-]",
		Short: "Send a command",
		Long: "Send a command to the running service, and with --wait print its outcome.\n" +
			"Sending the same --id again returns the same outcome and adds no event.\n\n" +
			"In a script, -q prints only the id of the aggregate that the command is for, such as that of a new user:\n" +
			"  id=$(" + c.Name + " send TYPE -f field=value --wait -q)\n\n" +
			"`send TYPE --help` lists the fields of a command.",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return input.Usagef("`%s` needs the type of the command", cmd.CommandPath()).WithHint("known commands: %s", strings.Join(c.Catalogue.Commands(), ", "))
			}
			return input.Exactly("one type")(cmd, args)
		},
		ValidArgsFunction: input.Words(c.Catalogue.Commands()...),
		RunE:              func(cmd *cobra.Command, args []string) error { return c.runSend(cmd.Context(), args[0], s) },
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringArrayVarP(&s.fields, "field", "f", nil, "one field of the data, as name=value; may be repeated")
	flags.StringVarP(&s.data, "data", "d", "", "the data: JSON, @file, or - for stdin; -f takes precedence")
	flags.Var(&s.id, "id", "the command's id; an id that is not a UUID is hashed into one (default a new one)")
	flags.BoolVar(&s.wait, "wait", false, "wait for the outcome")
	flags.Var(&s.timeout, "timeout", "how long to wait, for the brokers and for the outcome")
	flags.BoolVarP(&c.quiet, "quiet", "q", false, "print only the id of the aggregate")
	_ = cmd.RegisterFlagCompletionFunc("field", c.completeField) // It fails only for a flag that is not there.
	help := cmd.HelpFunc()
	cmd.SetHelpFunc(func(cmd *cobra.Command, args []string) {
		help(cmd, args)
		if t, ok := c.typeIn(cmd.Flags().Args()); ok {
			c.helpFields(cmd.OutOrStdout(), t)
		}
	})
	return cmd
}

func (c *cli) runSend(ctx context.Context, name string, s sending) error {
	t, ok := c.Catalogue.Lookup(name)
	if !ok || !t.Command {
		return events.Errorf(events.CodeUnknownType, "nobody handles the command %q%s", name, settings.DidYouMean(name, c.Catalogue.Commands())).
			WithHint("known commands: %s", strings.Join(c.Catalogue.Commands(), ", "))
	}
	data, err := c.dataOf(ctx, t, s)
	if err != nil {
		return err
	}
	// The id is chosen here, so that every error can say how to learn the outcome.
	id := events.NewID()
	if s.id != "" {
		id = events.NormalizeID(string(s.id))
	}
	command, err := c.Catalogue.ParseCommand(name, data)
	if err != nil {
		return c.refused(t, id, withNearest(t, data, err))
	}
	ctx, cancel := context.WithTimeout(ctx, time.Duration(s.timeout))
	defer cancel()
	client, err := c.reach(ctx, withCommands)
	if err != nil {
		return err
	}
	options := events.SendOptions{ID: id, NewID: s.id == ""}
	if !s.wait {
		receipt, err := client.Send(ctx, command, options)
		if err != nil {
			return c.refused(t, id, c.unanswered(ctx, t, id, c.ExplainUnhandled(ctx, client.Drivers, err)))
		}
		return c.printSent(receipt, receipt.AggregateID)
	}
	outcome, err := client.Execute(ctx, command, options)
	if err != nil {
		return c.refused(t, id, c.unanswered(ctx, t, id, c.ExplainUnhandled(ctx, client.Drivers, err)))
	}
	if outcome.Status == events.StatusRejected {
		return c.rejected(outcome)
	}
	if c.format == output.Table && outcome.Repeated {
		// Only people need the words: programs have the field.
		outcome.Status, outcome.Repeated = outcome.Status+replayedNote, false
	}
	return c.printSent(outcome, outcome.AggregateID)
}

// replayedNote is added to the outcome of a command that was decided before.
const replayedNote = " (replayed: this id was decided before)"

// printSent prints a receipt or an outcome, or quietly only the id of its aggregate.
func (c *cli) printSent(sent any, aggregateID string) error {
	if c.quiet {
		return c.printer().Text(aggregateID)
	}
	return output.One(c.printer(), sent)
}

// unanswered adds how to learn the outcome of a command to a timeout or interruption.
func (c *cli) unanswered(ctx context.Context, t *events.Type, id string, err error) error {
	var e *events.Error
	switch ctx.Err() {
	case nil:
		return err
	case context.DeadlineExceeded:
		e = events.Errorf(events.CodeTimeout, "no outcome of the command %s in time; it is unknown", id).MayRetry()
	default:
		e = events.Errorf(codeInterrupted, "interrupted; the outcome of the command %s is unknown", id).MayRetry()
	}
	hint := fmt.Sprintf("send it again with --id %s to learn how it ended; that never adds an event twice", id)
	handlers, _ := c.Describe(c.settings) // Without them the hint is shorter.
	for _, h := range handlers {
		if slices.Contains(h.Consumes, t.Name) {
			hint += fmt.Sprintf("; `%s poison list --handler %s` shows whether its handler failed", program(), h.Name)
		}
	}
	return e.WithHint("%s", hint)
}

// refused reports a rejection of a command that was not sent. It returns other errors as
// they are.
func (c *cli) refused(t *events.Type, id string, err error) error {
	r, ok := events.AsRejection(err)
	if !ok {
		return err
	}
	return c.rejected(events.Outcome{Status: events.StatusRejected, CommandID: id, Aggregate: t.Aggregate, Code: r.Code, Message: r.Message, Field: r.Field})
}

// withNearest adds the nearest field, if one is near, to a rejection that names a field
// which the data have and the type does not.
func withNearest(t *events.Type, data json.RawMessage, err error) error {
	r, ok := events.AsRejection(err)
	var given map[string]json.RawMessage
	if !ok || json.Unmarshal(data, &given) != nil || given[r.Field] == nil {
		return err
	}
	var names []string
	for _, f := range t.Fields() {
		names = append(names, f.Name)
	}
	if len(names) == 0 || slices.Contains(names, r.Field) {
		return err
	}
	return &events.Rejection{Code: r.Code, Field: r.Field, Message: r.Message + settings.DidYouMean(r.Field, names)}
}

// rejected prints the outcome for machines. For people the error is enough.
func (c *cli) rejected(o events.Outcome) error {
	if c.format != output.Table {
		if err := output.One(c.printer(), o); err != nil {
			return err
		}
	} else if o.Repeated {
		o.Message += replayedNote
	}
	return &events.Rejection{Code: o.Code, Message: o.Message, Field: o.Field}
}
