package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pitwheel/pitwheel/infra/cli/internal/input"
	"github.com/pitwheel/pitwheel/infra/cli/internal/output"
	"github.com/pitwheel/pitwheel/infra/settings"
	"github.com/pitwheel/pitwheel/router"
)

// handlerView is how a handler is printed.
type handlerView struct {
	Name     string                 `json:"name"`
	Kind     string                 `json:"kind"`
	Consumes []string               `json:"consumes"`
	Topic    string                 `json:"topic,omitempty"`
	Queue    string                 `json:"queue,omitempty"`
	Settings map[string]settingView `json:"settings,omitempty"`
	// LeftBehind is set for one that no build declares any more, and Messages is how many
	// wait in its queue.
	LeftBehind bool `json:"left_behind,omitempty"`
	Messages   int  `json:"messages,omitempty"`
}

// settingView is an effective setting: its value, and its source.
type settingView struct {
	Value  any    `json:"value"`
	Source string `json:"source"`
}

func (c *cli) handler() *cobra.Command {
	list := &cobra.Command{
		Use: "list", Args: input.None,
		Short: "List every declared handler with its effective settings and their sources",
		Long: "List every declared handler with its effective settings and their sources, and what handlers have left behind that\n" +
			"no build declares any more: queues, and messages in them. That is found in the store of the running service.",
		RunE: func(cmd *cobra.Command, _ []string) error { return c.listHandlers(cmd.Context()) },
	}
	c.listFlags(list.Flags(), "names")
	show := &cobra.Command{
		Use: "show NAME", Args: input.Exactly("the handler's name"), ValidArgsFunction: input.Words(c.HandlerNames()...),
		Short: "Print one handler: what it consumes, and each setting with its source",
		Long: "Print one handler as it is declared and configured: its kind, the types that it consumes, its queue and topic,\n" +
			"and each effective setting with its source: default, declaration (the code) or file.",
		RunE: func(_ *cobra.Command, args []string) error { return c.showHandler(args[0]) },
	}
	return input.Group("handler", "The declared handlers", c.watchable(list), show, c.replayHandler(), c.renameHandler(), c.removeHandler())
}

func (c *cli) listHandlers(ctx context.Context) error {
	infos, err := c.Describe(c.settings)
	if err != nil {
		return err
	}
	var views []handlerView
	for _, info := range infos {
		views = append(views, viewOfHandler(info))
	}
	if !c.quiet { // Names are for what can be done with declared handlers.
		left, err := c.leftBehind(ctx, infos)
		if err != nil {
			return err
		}
		views = append(views, left...)
	}
	names := []string{"concurrency", "attempts", "timeout", "backoff", "max_backoff", "break_after", "rate", "ordered"}
	return output.List(c.printer(), views, output.Columns[handlerView]{
		Heads: append([]string{"name", "state", "kind", "consumes", "queue"}, names...),
		Row: func(h handlerView) []any {
			row := []any{h.Name, h.state(), h.Kind, strings.Join(h.Consumes, ", "), h.Queue}
			for _, name := range names {
				row = append(row, h.Settings[name])
			}
			return row
		},
		Key: func(h handlerView) string { return h.Name },
	})
}

// showHandler prints one handler: for people a line for each property, and one for each
// setting with its source.
func (c *cli) showHandler(name string) error {
	infos, err := c.Describe(c.settings)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(infos, func(info router.HandlerInfo) bool { return info.Name == name })
	if i < 0 {
		return input.NotFound("handler", name, c.HandlerNames())
	}
	info := infos[i]
	view := viewOfHandler(info)
	if c.format != output.Table {
		return output.One(c.printer(), view)
	}
	rows := [][]any{{"name", info.Name, ""}, {"state", view.state(), ""}, {"kind", info.Kind, ""}, {"consumes", strings.Join(info.Consumes, ", "), ""}}
	if info.Topic != "" {
		rows = append(rows, []any{"topic", info.Topic, ""})
	}
	for _, s := range info.Settings {
		rows = append(rows, []any{s.Name, s.Value, c.sourceOf(s)})
	}
	return c.printer().Rows(rows)
}

// sourceOf returns where a setting of a handler comes from, with the path of a file.
func (c *cli) sourceOf(s router.Setting) settings.Origin {
	if s.Source == router.SourceOperator {
		return c.settings.HandlersOrigin()
	}
	return settings.Origin{Source: s.Source}
}

func viewOfHandler(info router.HandlerInfo) handlerView {
	v := handlerView{Name: info.Name, Kind: string(info.Kind), Consumes: info.Consumes, Topic: info.Topic, Queue: info.Queue}
	if len(info.Settings) > 0 {
		v.Settings = map[string]settingView{}
	}
	for _, s := range info.Settings {
		v.Settings[s.Name] = settingView{typed(s.Value), s.Source}
	}
	return v
}

// state returns whether a handler is to consume, so that a paused one cannot be
// overlooked.
func (h handlerView) state() string {
	switch {
	case h.LeftBehind && h.Queue == "":
		return "LEFT BEHIND"
	case h.LeftBehind:
		return fmt.Sprintf("LEFT BEHIND (%d messages)", h.Messages)
	}
	paused := h.Settings["paused"]
	if paused.Value != true {
		return "active"
	}
	return fmt.Sprintf("PAUSED (%s)", paused.Source)
}

// typed returns a setting's value as JSON has it: counts are numbers, switches booleans.
func typed(text string) any {
	var v any
	if json.Unmarshal([]byte(text), &v) != nil {
		return text
	}
	return v
}

// String returns the value, and its source where that is not the default.
func (s settingView) String() string {
	switch s.Source {
	case "":
		return "" // The handler has no such setting.
	case router.SourceDefault:
		return fmt.Sprint(s.Value)
	}
	return fmt.Sprintf("%v (%s)", s.Value, s.Source)
}
