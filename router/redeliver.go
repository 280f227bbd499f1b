package router

import (
	"context"
	"slices"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"golang.org/x/time/rate"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router/internal/catchup"
	"github.com/pitwheel/pitwheel/router/internal/codec"
)

const (
	// DefaultReplayRate is how many events a second [Router.Replay] delivers where nothing
	// else is set.
	DefaultReplayRate = 500
	// replayBatch is how many events of one partition are read at once.
	replayBatch = 250
)

// ReplayOptions select events of the log for [Router.Replay]. The zero value selects all that
// the handler reacts to and has not settled.
type ReplayOptions struct {
	// After and To bound the events by their place in the log: those after the one and up to
	// the other. Nil: from the beginning, to the end.
	After, To events.Cursor
	// Until leaves out events of that time and later. Zero: none.
	Until time.Time
	// Type and Key select events of one type, of those that the handler reacts to, and of one
	// aggregate. "": all.
	Type, Key string
	// Missing selects only events that the handler owes, and that are neither settled nor
	// known to wait anywhere.
	Missing bool
	// Again names a replay that delivers settled events, too: under one name each event is
	// handled once. "": settled ones are skipped.
	Again string
	// Rate is how many events a second are delivered. 0: [DefaultReplayRate].
	Rate int
	// Progress is called after each batch with what was done so far, and how far the log was
	// read; the replay ends if it returns an error. Optional.
	Progress func(ReplayTally, events.Cursor) error
}

// ReplayTally is what a replay has done.
type ReplayTally struct {
	// Selected is how many events the options select, Delivered how many were published to
	// the handler's queue, and Settled how many were skipped as the handler has settled them.
	Selected  uint64 `json:"selected"`
	Delivered uint64 `json:"delivered"`
	Settled   uint64 `json:"settled"`
}

// Replay publishes events of the log to the queue of one reaction, in the order of the log,
// and to nobody else. The router need not run. It may be called again after an error, with
// the last cursor that Progress was called with; events may then be delivered twice, and are
// handled once.
func (r *Router) Replay(ctx context.Context, handler string, o ReplayOptions) (ReplayTally, error) {
	i := slices.IndexFunc(r.reactions, func(p *plan) bool { return p.name == handler })
	if i < 0 {
		return ReplayTally{}, events.Errorf(events.CodeNotFound, "%q is not a reaction of this application; projections are rebuilt, and commands are not replayed", handler)
	}
	p := r.reactions[i]
	if o.Type != "" && !slices.Contains(p.consumed(), o.Type) {
		return ReplayTally{}, events.Errorf(events.CodeInvalid, "%s reacts to %s, not to %s", handler, p.typ().Name, o.Type).WithField("type")
	}
	if o.To == nil {
		var err error
		if o.To, err = r.config.Reader.End(ctx); err != nil {
			return ReplayTally{}, err
		}
	}
	if o.Rate <= 0 {
		o.Rate = DefaultReplayRate
	}
	run := replayRun{Router: r, plan: p, o: o, limiter: rate.NewLimiter(rate.Limit(o.Rate), max(1, o.Rate/10))}
	err := run.run(ctx)
	return run.tally, err
}

type replayRun struct {
	*Router
	plan    *plan
	o       ReplayOptions
	limiter *rate.Limiter
	tally   ReplayTally
	relayed events.Cursor
	epoch   string
}

func (r *replayRun) run(ctx context.Context) (err error) {
	cursor := r.o.After.Clone(r.config.Reader.Partitions())
	if r.relayed, err = r.Router.relayed(ctx); err != nil {
		return err
	}
	if r.epoch, err = r.config.Reader.Epoch(ctx); err != nil {
		return err
	}
	for cursor.Behind(r.o.To) > 0 {
		batch, err := r.config.Reader.Read(ctx, cursor, replayBatch, 0)
		if err != nil {
			return err
		}
		if len(batch) == 0 {
			return nil // What the end has counted is gone.
		}
		places := map[events.LogPosition]events.Place{}
		if r.o.Missing {
			if places, err = r.config.Audit.LedgerPlaces(ctx, r.plan.name); err != nil {
				return err
			}
		}
		for i := range batch {
			if !r.selects(&batch[i]) {
				continue
			}
			if err := r.deliver(ctx, &batch[i], places[batch[i].At()]); err != nil {
				return err
			}
		}
		catchup.Advance(cursor, batch)
		if r.o.Progress != nil {
			if err := r.o.Progress(r.tally, cursor); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *replayRun) selects(e *events.Recorded) bool {
	wanted := slices.Contains(r.plan.consumed(), e.Type) && (r.o.Type == "" || e.Type == r.o.Type) && (r.o.Key == "" || e.AggregateID == r.o.Key)
	return wanted && e.Position <= r.o.To.At(e.Partition) && (r.o.Until.IsZero() || e.Timestamp.Before(r.o.Until))
}

// deliver publishes one event, unless the handler has settled it.
func (r *replayRun) deliver(ctx context.Context, e *events.Recorded, place events.Place) error {
	standing, err := r.config.Ledger.Standing(ctx, r.plan.name, e.At())
	if err != nil {
		return err
	}
	if r.o.Missing && (standing != events.Open || place.Kind != "" && place.Kind != events.PlaceMissing || e.Position > r.relayed.At(e.Partition)) {
		return nil
	}
	r.tally.Selected++
	if standing == events.Settled && r.o.Again == "" {
		r.tally.Settled++
		return nil
	}
	if err := r.limiter.Wait(ctx); err != nil {
		return err
	}
	msg := codec.EncodeRecorded(e, r.epoch)
	if r.o.Again != "" {
		msg.Metadata[events.MetaAgain] = r.o.Again
	}
	if standing == events.Open && place.Kind != events.PlacePoison && place.Kind != events.PlaceParked {
		if err := r.config.Ledger.SetPlace(ctx, r.plan.name, e.At(), events.Place{Kind: events.PlaceQueued, Until: time.Now()}); err != nil {
			return err
		}
	}
	if err := r.publish(ctx, msg); err != nil {
		return err
	}
	r.tally.Delivered++
	return nil
}

func (r *replayRun) publish(ctx context.Context, msg *message.Message) error {
	msg.SetContext(ctx)
	return r.config.Transport.QueuePublisher().Publish(r.plan.policy.Queue, msg)
}
