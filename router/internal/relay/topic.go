package relay

import (
	"errors"
	"slices"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router/backoff"
)

const (
	// firstPause and maxPause bound the pause between two attempts to publish to a topic.
	firstPause = 50 * time.Millisecond
	maxPause   = 5 * time.Second
	// maxAside is how many events are sent at once aside.
	maxAside = 4096
)

// topic is what is published to one topic. It is used by one goroutine, but for done.
type topic struct {
	name     string
	messages []*message.Message // to be published next
	// first is the first event that is not published, by partition; 0 if all are.
	first []uint64
	// after is what first is, once what is on its way is published.
	after []uint64
	// flying reports whether something is on its way; done receives how that ended.
	flying bool
	done   chan error
	// aside reports whether the topic is published to aside: not with each batch.
	aside    bool
	err      error     // why
	since    time.Time // when what failed first was sent
	sent     time.Time // when what is on its way was sent
	failures int
	next     time.Time // of the next attempt
	size     int       // how many events are sent at once, aside
}

func newTopic(name string, partitions int) *topic {
	return &topic{name: name, first: make([]uint64, partitions), after: make([]uint64, partitions), done: make(chan error, 1)}
}

// skip notes an event that is published later.
func (t *topic) skip(e *events.Recorded) {
	if t.first[e.Partition] == 0 {
		t.first[e.Partition] = e.Position
	}
	if t.flying && t.after[e.Partition] == 0 {
		t.after[e.Partition] = e.Position
	}
}

// start publishes the messages of a topic, in the background.
func (s *session) start(t *topic) {
	msgs := t.messages
	t.messages = nil
	t.flying, t.sent = true, time.Now()
	go func() { // It ends with the context of the messages.
		t.done <- s.publisher.Publish(t.name, msgs...)
		s.poke()
	}()
}

// await waits for what is on its way, for a second at most: who takes longer is published
// to aside. With all it waits for everything.
func (s *session) await(all bool) {
	if !slices.ContainsFunc(s.order, func(t *topic) bool { return t.flying }) {
		return
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	late := false
	for _, t := range s.order {
		if !t.flying {
			continue
		}
		var timeout <-chan time.Time
		if !all {
			timeout = timer.C
		}
		if !all && (late || t.err != nil) { // It is not waited for.
			select {
			case err := <-t.done:
				s.finish(t, err)
			default:
				s.late(t)
			}
			continue
		}
		select {
		case err := <-t.done:
			s.finish(t, err)
		case <-timeout:
			late = true
			s.late(t)
		}
	}
}

// finish notes how an attempt has ended.
func (s *session) finish(t *topic, err error) {
	t.flying = false
	if err != nil {
		s.fail(t, err)
		return
	}
	copy(t.first, t.after)
	clear(t.after)
	s.succeeded = time.Now()
	t.failures, t.err, t.next, t.size = 0, nil, time.Time{}, min(2*t.size, maxAside)
	t.aside = t.aside && slices.Max(t.first) > 0
	s.report(t, nil)
}

// fail notes that an attempt has failed. The next one is made aside, with one event: then it
// shows which one cannot be published, and what was published of the others comes once more at most.
func (s *session) fail(t *topic, err error) {
	if t.failures++; t.err == nil {
		t.since = t.sent
	}
	t.aside, t.err, t.size = true, err, 1
	clear(t.after)
	pause := backoff.After(firstPause, maxPause, t.failures)
	t.next = time.Now().Add(pause)
	time.AfterFunc(pause, s.poke)
	s.report(t, events.Errorf(events.CodeOf(err), "the topic %s cannot be published to, others go on: %w", t.name, err).MayRetry())
}

// late notes that an attempt takes long. It may succeed yet.
func (s *session) late(t *topic) {
	takes := time.Since(t.sent)
	if takes < patience {
		return
	}
	if t.err == nil {
		t.since, t.size = t.sent, maxAside
		t.err = events.Errorf(events.CodeTimeout, "the broker has not confirmed what was sent at %s", t.sent.UTC().Format(events.TimeLayout)).MayRetry()
	}
	t.aside = true
	if takes >= giveUpAfter {
		s.report(t, events.Errorf(events.CodeOf(t.err), "the topic %s holds up its events, others go on: %w", t.name, t.err).MayRetry())
	}
}

// abandon ends what is on its way: it belongs to a checkpoint that no longer holds.
func (s *session) abandon() {
	s.cancel()
	for _, t := range s.order {
		if t.flying {
			<-t.done //nolint:errcheck // It is that of the end of its context, if any.
		}
	}
}

func (s *session) report(t *topic, err error) {
	s.health.ReportPart(s.logger, Role, "topic "+t.name, err)
}

// resend starts what is due of the topics that are published to aside, and reports whether
// it has started anything.
func (s *session) resend() (started bool, err error) {
	for _, t := range s.order {
		if !t.aside || t.flying || time.Now().Before(t.next) {
			continue
		}
		if err := s.collect(t); err != nil {
			return started, err
		}
		if len(t.messages) > 0 {
			s.start(t)
		} else {
			s.finish(t, nil) // What was noted is gone from the log.
		}
		started = true
	}
	return started, nil
}

// collect reads the next events of a topic from the log again.
func (s *session) collect(t *topic) error {
	from := make(events.Cursor, len(t.first))
	for p, first := range t.first {
		if from[p] = events.Nowhere; first > 0 {
			from[p] = first - 1
		}
	}
	batch, err := s.reader.Read(s.ctx, from, batchSize, 0)
	var broken events.PartitionErrors
	if err != nil && !errors.As(err, &broken) {
		return err
	}
	found, last := make([]int, len(from)), from.Clone(0)
	clear(t.after)
	for i := range batch {
		e := &batch[i]
		p := e.Partition
		found[p]++
		last[p] = e.Position
		if e.Position > s.read[p] || events.EventTopic(e.Aggregate) != t.name {
			continue // It comes with a later batch, or is for another topic.
		}
		if len(t.messages) < t.size {
			if err := s.add(t, e); err != nil {
				return err
			}
		} else if t.after[p] == 0 {
			t.after[p] = e.Position
		}
	}
	for p := range from {
		// There may be more behind a full page, or behind what cannot be read.
		more := found[p] == batchSize && last[p] < s.read[p] || broken[p] != nil
		if from[p] != events.Nowhere && more && t.after[p] == 0 {
			t.after[p] = last[p] + 1
		}
	}
	return nil
}
