package relay

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/ThreeDotsLabs/watermill/components/cqrs"
	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router/internal/catchup"
	"github.com/pitwheel/pitwheel/router/internal/codec"
	"github.com/pitwheel/pitwheel/router/internal/health"
)

const (
	// patience is how long a topic may hold up the others before it is published to aside.
	patience = time.Second
	// maxAhead is how many events of a partition are published beyond its checkpoint while
	// a topic cannot be published to: what may be published twice after a crash.
	maxAhead = 4096
	// checkEvery is how often the checkpoint is compared with what is stored, and with the
	// log.
	checkEvery = 2 * time.Second
	// giveUpAfter is how long no topic may be published to before another instance gets the
	// chance to do better.
	giveUpAfter = 5 * time.Second
)

// session publishes from a checkpoint on that it has opened, until that is lost.
//
// The events of a batch are published to all topics at the same time. A topic that fails, or
// takes longer than a second, is published to aside from then on, with backoff: what
// comes for it is read from the log again. The checkpoint is before the first event that is
// not published.
type session struct {
	*Relay
	role   context.Context // ends with the role
	ctx    context.Context // of what is on its way; it outlives the end of the role a little
	cancel context.CancelFunc
	bus    *cqrs.EventBus

	token, epoch string
	read         events.Cursor // what was given to the topics
	saved        events.Cursor // the stored checkpoint
	full         []atomic.Bool // by partition: whether it waits for a topic
	topics       map[string]*topic
	order        []*topic
	wake         chan struct{} // receives when an attempt has ended, or is due
	checked      time.Time
	succeeded    time.Time // when a topic was published to last
}

func newSession(ctx context.Context, r *Relay, token, epoch string, at events.Cursor) (*session, error) {
	n := r.reader.Partitions()
	s := &session{
		Relay: r, role: ctx, token: token, epoch: epoch, read: at.Clone(n), saved: at.Clone(n), full: make([]atomic.Bool, n),
		topics: map[string]*topic{}, wake: make(chan struct{}, 1), checked: time.Now(),
	}
	s.ctx, s.cancel = catchup.Grace(ctx)
	var err error
	s.bus, err = cqrs.NewEventBusWithConfig(collector{s}, cqrs.EventBusConfig{
		GeneratePublishTopic: func(p cqrs.GenerateEventPublishTopicParams) (string, error) {
			return events.EventTopic(p.Event.(*events.Recorded).Aggregate), nil
		},
		Marshaler: codec.RecordedMarshaler{Epoch: epoch},
	})
	return s, err
}

// collector gives the messages that the event bus publishes one by one to their topics, so
// that the broker confirms a whole batch together.
type collector struct{ s *session }

func (c collector) Publish(name string, msgs ...*message.Message) error {
	t := c.s.topic(name)
	t.messages = append(t.messages, msgs...)
	return nil
}

// Close does nothing: the real publisher belongs to its owner.
func (collector) Close() error { return nil }

func (s *session) topic(name string) *topic {
	t := s.topics[name]
	if t == nil {
		t = newTopic(name, len(s.read))
		s.topics[name] = t
		s.order = append(s.order, t)
	}
	return t
}

// apply publishes a batch, and saves the checkpoint.
func (s *session) apply(batch []events.Recorded) error {
	if s.role.Err() != nil {
		return nil //nolint:nilerr // After a pause of the process, another instance has published it.
	}
	began := time.Now()
	s.await(false)
	for i := range batch {
		e := &batch[i]
		t := s.topic(events.EventTopic(e.Aggregate))
		if t.aside {
			t.skip(e)
		} else if err := s.add(t, e); err != nil {
			return err
		}
	}
	catchup.Advance(s.read, batch)
	// The witness is written first, in the same stream to the broker: it must not know less
	// than what was published.
	witnessed, err := s.recorder.Record(s.ctx, batch)
	if err != nil {
		return err
	}
	for _, t := range s.order {
		if !t.aside && len(t.messages) > 0 {
			s.start(t)
		}
	}
	s.await(false)
	if err := witnessed(); err != nil {
		return err
	}
	for time.Since(began) < patience {
		started, err := s.resend()
		if err != nil {
			return err
		}
		if !started {
			break
		}
		s.await(false)
	}
	if err := s.save(); err != nil {
		return err
	}
	if err := s.check(); err != nil {
		return err
	}
	s.health.OK()
	return s.giveUp()
}

// add adds an event to what is published to its topic next.
func (s *session) add(t *topic, e *events.Recorded) error {
	if t.first[e.Partition] == 0 {
		t.first[e.Partition] = e.Position
	}
	return s.bus.Publish(s.ctx, e)
}

// save moves the checkpoint up to the first event that is not published, of each partition.
func (s *session) save() error {
	to := s.read.Clone(0)
	for _, t := range s.order {
		for p, first := range t.first {
			if first > 0 {
				to[p] = min(to[p], first-1)
			}
		}
	}
	moved := false
	for p := range to {
		moved = moved || to[p] != s.saved[p]
		s.full[p].Store(s.read[p]-to[p] >= maxAhead)
	}
	if !moved {
		return nil
	}
	if err := s.checkpoints.SaveCheckpoint(s.ctx, s.commit(s.saved, to)); err != nil {
		return err
	}
	s.saved = to
	return nil
}

func (s *session) commit(from, to events.Cursor) events.CheckpointCommit {
	return events.CheckpointCommit{Role: Role, Token: s.token, Epoch: s.epoch, From: from, To: to}
}

// poke makes apply be called soon.
func (s *session) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// isFull reports whether a partition waits for a topic that cannot be published to.
func (s *session) isFull(partition int) bool { return s.full[partition].Load() }

// check returns an error with the code CURSOR_MOVED if the checkpoint is no longer the stored
// one, or the log no longer the one that was read. While nothing is saved nothing else
// would tell so.
func (s *session) check() error {
	if time.Since(s.checked) < checkEvery {
		return nil
	}
	if err := catchup.Check(s.ctx, s.reader, events.Checkpoint{Cursor: s.read, Epoch: s.epoch}); err != nil {
		return err
	}
	stored, err := s.checkpoints.Checkpoint(s.ctx, Role)
	if err != nil {
		return err
	}
	if stored.Behind(s.saved)+s.saved.Behind(stored) > 0 {
		return events.Errorf(events.CodeCursorMoved, "the checkpoint of the relay was moved from %v to %v by another", s.saved, stored)
	}
	s.checked = time.Now()
	return nil
}

// giveUp returns an error once nothing can be published here, so that another instance can
// try. A topic that fails while another one can be published to does not count: that
// would not change, and what was published beyond the checkpoint would be again.
func (s *session) giveUp() error {
	for _, t := range s.order {
		if t.aside && t.since.After(s.succeeded) && time.Since(t.since) >= giveUpAfter {
			return health.GiveUp(events.Errorf(events.CodeOf(t.err), "nothing could be published for %s: %w", giveUpAfter, t.err).MayRetry())
		}
	}
	return nil
}
