// Package relay publishes the log on the event bus. The log is the outbox: there is no
// second copy of an event that could be lost.
package relay

import (
	"context"
	"log/slog"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router/internal/catchup"
	"github.com/pitwheel/pitwheel/router/internal/health"
	"github.com/pitwheel/pitwheel/router/internal/witness"
)

// Role is the name of the relay's role in elections and of its checkpoint.
const Role = "relay"

// batchSize is how many events of one partition are published before their
// checkpoint is saved: what may be published twice after a crash.
const batchSize = 256

// Checkpoints keeps how far the relay has read the log; see router.Checkpoints, which
// has these methods.
type Checkpoints interface {
	Checkpoint(ctx context.Context, role string) (events.Cursor, error)
	OpenCheckpoint(ctx context.Context, role, token string) (events.Checkpoint, error)
	SaveCheckpoint(ctx context.Context, c events.CheckpointCommit) error
}

// Relay publishes the events of the log, in the order of each partition and topic. The
// checkpoint is saved after the broker has confirmed the events, so that each is
// published at least once. A topic that cannot be published to does not hold up others.
type Relay struct {
	reader      catchup.Reader
	checkpoints Checkpoints
	publisher   message.Publisher
	recorder    witness.Recorder
	health      health.Health
	logger      *slog.Logger
}

// New returns a relay that publishes with the given publisher to the events topic of
// each aggregate.
func New(reader catchup.Reader, checkpoints Checkpoints, publisher message.Publisher, logger *slog.Logger) *Relay {
	return &Relay{reader: reader, checkpoints: checkpoints, publisher: publisher, logger: logger}
}

// RecordBy has the positions of all events recorded before they are published. It is to be
// called before Run.
func (r *Relay) RecordBy(w witness.Recorder) { r.recorder = w }

// Health returns the health of the role.
func (r *Relay) Health() *health.Health { return &r.health }

// Run publishes until ctx ends, and then returns nil. It is called while this instance holds
// the role, and not concurrently. Failures are retried with backoff; it returns an error
// if it has got nowhere for 5 s, so that another instance can try.
func (r *Relay) Run(ctx context.Context) error {
	return r.health.Run(ctx, r.logger, Role, func(ctx context.Context) error {
		if err := r.recorder.Begin(ctx); err != nil {
			return err
		}
		s, err := r.open(ctx)
		if err == nil {
			err = s.run(ctx)
		}
		if events.CodeOf(err) == events.CodeCursorMoved {
			r.logger.WarnContext(ctx, "the relay begins again from its checkpoint", slog.Any("error", err))
			return nil // Not a failure.
		}
		return err
	})
}

// open takes over the checkpoint, and checks it against the log.
func (r *Relay) open(ctx context.Context) (*session, error) {
	token := events.NewID()
	at, err := r.checkpoints.OpenCheckpoint(ctx, Role, token)
	if err != nil {
		return nil, err
	}
	epoch, end, err := catchup.Where(ctx, r.reader)
	if err != nil {
		return nil, err
	}
	cursor, why := at.ResumeAt(epoch, end)
	s, err := newSession(ctx, r, token, epoch, cursor)
	if err != nil || why == "" {
		return s, err
	}
	lost := events.Errorf(events.CodeInternal, "the log has lost events that were published: %s; the relay goes on from %v", why, cursor)
	r.logger.ErrorContext(ctx, "the checkpoint of the relay is set back to where the log is", slog.Any("error", lost),
		slog.Any("checkpoint", at.Cursor), slog.String("checkpoint_epoch", at.Epoch), slog.Any("end", end), slog.String("epoch", epoch))
	r.health.Set(lost)
	return s, r.checkpoints.SaveCheckpoint(ctx, s.commit(at.Cursor, cursor))
}

// run publishes what is in the log, and what comes.
func (s *session) run(ctx context.Context) error {
	err := catchup.Subscription{
		Reader: s.reader, From: s.read, Limit: batchSize, Apply: s.apply, Wake: s.wake, Skip: s.isFull, Broken: s.broken,
	}.Run(ctx)
	defer s.cancel()
	if err != nil {
		s.abandon()
		return err
	}
	s.await(true)
	return s.save()
}

// broken is told that a partition cannot be read on, or again can be.
func (r *Relay) broken(partition int, err error) {
	r.health.ReportPart(r.logger, Role, catchup.PartitionName(partition), err)
}
