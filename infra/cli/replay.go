package cli

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/cli/internal/input"
	"github.com/pitwheel/pitwheel/infra/cli/internal/output"
	"github.com/pitwheel/pitwheel/infra/redis/replays"
	"github.com/pitwheel/pitwheel/router"
)

// replaySelection is what a replay is to deliver. As JSON it names the progress of the replay.
type replaySelection struct {
	Handler string
	Since   string
	Until   string
	Type    string
	Key     string
	Missing bool
	Again   bool
}

// replayView is the result of a replay.
type replayView struct {
	Handler string `json:"handler"`
	router.ReplayTally
}

func (c *cli) replayHandler() *cobra.Command {
	var s replaySelection
	var rate int
	var restart bool
	cmd := &cobra.Command{
		Use: "replay NAME", Args: input.Exactly("the handler's name"), ValidArgsFunction: input.Words(c.reactions()...),
		Short: "Deliver history from the log to one handler again",
		Long: "Publish events of the log to the queue of one reaction, in the order of the log, and to nobody else. What the handler has\n" +
			"settled is skipped, unless --again asks for it; events from before its first deployment are delivered, too.\n\n" +
			"An interrupted replay goes on where it was: run the same command again. Projections are rebuilt instead.",
		RunE: func(cmd *cobra.Command, args []string) error {
			s.Handler = args[0]
			return c.replay(cmd.Context(), s, rate, restart)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&s.Since, "since", "", "from this time on: RFC 3339, or a duration ago, such as 2h")
	flags.StringVar(&s.Until, "until", "", "up to this time")
	flags.StringVar(&s.Type, "type", "", "only events of this type")
	flags.StringVar(&s.Key, "key", "", "only events of the aggregate with this id")
	flags.BoolVar(&s.Missing, "missing", false, "only events that are neither settled nor known to wait anywhere")
	flags.BoolVar(&s.Again, "again", false, "also events that the handler has settled: it handles them once more")
	flags.IntVar(&rate, "rate", router.DefaultReplayRate, "at most so many events a second")
	flags.BoolVar(&restart, "restart", false, "begin from the beginning, not where the same replay was interrupted")
	return cmd
}

// replay runs a replay, or what is left of one that was interrupted.
func (c *cli) replay(ctx context.Context, s replaySelection, rate int, restart bool) error {
	if names := c.reactions(); !slices.Contains(names, s.Handler) {
		return input.NotFound("reaction", s.Handler, names)
	}
	if rate < 1 {
		return input.Usagef("--rate is %d; it must be 1 or more", rate)
	}
	now := time.Now()
	since, err := input.ParseMoment("--since", s.Since, now)
	if err != nil {
		return err
	}
	until, err := input.ParseMoment("--until", s.Until, now)
	if err != nil {
		return err
	}
	r, err := c.inspect(ctx)
	if err != nil {
		return err
	}
	store := c.client.Store
	name := s.name()
	var progress replays.Progress
	if !restart {
		if progress, err = store.ReplayProgress(ctx, name); err != nil {
			return err
		}
	}
	if progress.ID == "" {
		progress = replays.Progress{ID: events.NewID()}
		if progress.To, err = store.End(ctx); err != nil {
			return err
		}
		if !since.IsZero() {
			if progress.At, err = store.FindTime(ctx, since); err != nil {
				return err
			}
		}
	} else {
		_, _ = fmt.Fprintln(c.stderr, "an interrupted replay goes on where it was; --restart begins it anew")
	}
	o := router.ReplayOptions{After: progress.At, To: progress.To, Until: until, Type: s.Type, Key: s.Key, Missing: s.Missing, Rate: rate}
	if s.Again {
		o.Again = progress.ID
	}
	o.Progress = func(t router.ReplayTally, at events.Cursor) error {
		progress.At = at
		return store.SaveReplayProgress(ctx, name, progress)
	}
	tally, err := r.Replay(ctx, s.Handler, o)
	if err != nil {
		return fmt.Errorf("after %d events: %w", tally.Delivered, err)
	}
	if err := store.EndReplay(ctx, name); err != nil {
		return err
	}
	if c.format != output.Table {
		return output.One(c.printer(), replayView{s.Handler, tally})
	}
	return c.printer().Rows([][]any{{"handler", s.Handler}, {"selected", tally.Selected}, {"delivered", tally.Delivered}, {"settled before", tally.Settled}})
}

// name names the progress of a replay: the same selection goes on where it was.
func (s replaySelection) name() string {
	text, _ := json.Marshal(s) // It cannot fail.
	sum := sha256.Sum256(text)
	return s.Handler + ":" + hex.EncodeToString(sum[:8])
}
