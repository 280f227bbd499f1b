package router

import (
	"time"

	"github.com/pitwheel/pitwheel/events"
)

// result is what a stage of the pipeline returns for a message: what is to be done
// with it, and how that counts. A stage may replace the result of the next one; the
// last result becomes Watermill's ack, nack or error in [consumer.process].
type result struct {
	action  action
	outcome outcome
	// after is the pause before the next delivery, for actionWait and actionDelay, and
	// the pause that the handler asked for, if it did, for actionFail.
	after time.Duration
	// err is set for actionFail, actionPoison and actionAbort.
	err error
	// decided is the outcome of a command that was decided; nil for anything else.
	decided *events.Outcome
}

// action is what is to be done with a message.
type action uint8

const (
	// actionAck: nothing is left to do.
	actionAck action = iota
	// actionWait: it waits in memory, in its place among the messages of its key, and is
	// delivered again.
	actionWait
	// actionDelay: it waits at the broker. The stage delay turns this into ack or wait.
	actionDelay
	// actionFail: an attempt failed, and another may help. The stage retry turns this
	// into wait, delay or poison.
	actionFail
	// actionPoison: it failed permanently. The stage poison turns this into ack or abort.
	actionPoison
	// actionAbort: it is given back at once, as the process is stopping or a store cannot
	// be reached. That is not a failure of the handler.
	actionAbort
)

// outcome is how a message counts; the values are those of the metric's label.
type outcome string

const (
	outcomeHandled   outcome = "handled"
	outcomeDuplicate outcome = "duplicate"
	outcomeRetried   outcome = "retried"
	outcomePoisoned  outcome = "poisoned"
	// outcomeParked: it waits behind a failed message of its key.
	outcomeParked outcome = "parked"
	// uncounted: it came too early, or is given back.
	uncounted outcome = ""
)

func ack(o outcome) result { return result{action: actionAck, outcome: o} }

// giveBack lets a message wait in memory, which does not count as an attempt.
func giveBack(after time.Duration) result { return result{action: actionWait, after: after} }

// fail is a failed attempt.
func fail(err error) result {
	r := result{action: actionFail, err: err}
	if asked, ok := events.RetryDelay(err); ok {
		r.after = max(asked, time.Millisecond)
	}
	return r
}

// giveUp is a message that failed permanently.
func giveUp(err error) result { return result{action: actionPoison, err: err} }

func abort(err error) result { return result{action: actionAbort, err: err} }

// inMemory turns a delay at the broker into one in memory of at most limit.
func (r result) inMemory(limit time.Duration) result {
	r.action, r.after = actionWait, min(r.after, limit)
	return r
}
