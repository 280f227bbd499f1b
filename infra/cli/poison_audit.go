package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/pitwheel/pitwheel/events"
)

func (c *cli) poisonAudit() *cobra.Command {
	var limit int
	cmd := &cobra.Command{
		Use: "audit", Args: none,
		Short: "What was done to letters, by whom and why, the newest first",
		RunE:  func(cmd *cobra.Command, _ []string) error { return c.auditLetters(cmd.Context(), limit) },
	}
	cmd.Flags().IntVar(&limit, "limit", 100, "at most this many changes; 0: all")
	return cmd
}

// changeView is one entry of the audit trail as it is printed.
type changeView struct {
	At        string `json:"at"`
	Action    string `json:"action"`
	Who       string `json:"who"`
	Why       string `json:"why"`
	LetterID  string `json:"letter_id"`
	Handler   string `json:"handler"`
	Type      string `json:"type"`
	Key       string `json:"key"`
	MessageID string `json:"message_id"`
	Code      string `json:"code"`
}

func (c *cli) auditLetters(ctx context.Context, limit int) error {
	if limit < 0 {
		return usagef("--limit is %d; it must not be negative", limit)
	}
	client, err := c.reach(ctx, storeOnly)
	if err != nil {
		return err
	}
	defer client.Close()
	var views []changeView
	for change, err := range client.store.PoisonChanges(ctx) {
		if err != nil {
			return err
		}
		views = append(views, changeView{
			change.At.Format(events.TimeLayout), change.Action, change.Who, change.Why, change.LetterID,
			change.Handler, change.Type, change.Key, change.MessageID, change.Code,
		})
		if len(views) == limit {
			break
		}
	}
	return printList(c.printer(), views,
		column[changeView]{"at", func(v changeView) string { return v.At }},
		column[changeView]{"action", func(v changeView) string { return v.Action }},
		column[changeView]{"letter", func(v changeView) string { return v.LetterID }},
		column[changeView]{"handler", func(v changeView) string { return v.Handler }},
		column[changeView]{"code", func(v changeView) string { return cell(v.Code, 30) }},
		column[changeView]{"who", func(v changeView) string { return cell(v.Who, 40) }},
		column[changeView]{"why", func(v changeView) string { return cell(v.Why, 60) }})
}
