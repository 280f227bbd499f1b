package cli

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pitwheel/pitwheel/infra/cli/internal/input"
	"github.com/pitwheel/pitwheel/infra/cli/internal/output"
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
		RunE: func(*cobra.Command, []string) error {
			infos, err := c.Describe(c.settings)
			if err != nil {
				return err
			}
			views := make([]handlerView, len(infos))
			for i, info := range infos {
				views[i] = viewOfHandler(info)
			}
			names := []string{"concurrency", "attempts", "timeout", "backoff", "max_backoff", "break_after", "rate", "ordered", "paused"}
			return output.List(c.printer(), views, append([]string{"name", "kind", "consumes", "queue"}, names...), func(h handlerView) []any {
				row := []any{h.Name, h.Kind, strings.Join(h.Consumes, ", "), h.Queue}
				for _, name := range names {
					row = append(row, h.Settings[name])
				}
				return row
			})
		},
	}
	return input.Group("handler", "The declared handlers", list)
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
