// Package router is the framework: it turns declared handlers into a running Watermill
// router.
//
// An application declares its handlers, each with one of three functions:
//
//   - [Decide] handles a command: it receives the current state of an aggregate and
//     returns the events that happen, or refuses.
//   - [On] reacts to an event, at least once, with retries and a poison queue.
//   - [Project] keeps rows up to date from the events, exactly once, with a [Case] (or
//     [CaseBy]) for each event type.
//
// A handler receives an [Event] with its header and typed data. A [Policy] says how its
// messages are processed: attempts, concurrency, timeout, order, and so on.
//
//	welcome := router.On("send-welcome", func(ctx context.Context, e router.Event[users.Created]) error {
//		return mailer.Send(ctx, e.ID, e.Data.Email)
//	}, router.Policy{Attempts: 10})
//
// [New] checks the declarations, and [Router.Run] consumes until its context ends, and
// then drains. The outside is behind ports: a [Transport] carries messages, a [Log]
// stores events, and so on; the package routertest has all of them in memory, and tests
// handlers without a broker. [Commands] sends commands and waits for their outcomes, with
// or without a running router; [Router.Execute] decides a command where it is called.
//
// # The way of a message
//
//	Router.Execute ──────────────┐ decided here, for a caller who waits
//	Commands.Send → Transport → command handler: load, fold, decide → Log.Append
//	                                                                      │
//	               reaction ← Transport ← relay ← catch-up subscription ←─┤
//	                          rows ← projection ← catch-up subscription ←─┤
//	      missing events, delivered again ← auditor ← log and ledgers ←───┘
//
// Each message of a queue goes through the stages listed in pipeline.go. A stage returns
// a result to the one around it, and the last result is acked or nacked.
//
// # After a failure
//
// A message whose attempt has failed waits for the next one without holding a worker:
//
//   - in memory for a pause of up to a second ([Config].MaxInMemoryDelay), and while no more
//     than 64 messages of its handler do. That holds up its key and nothing else.
//   - at the broker otherwise: in a queue {queue}.retry.{tier} of RabbitMQ, or a sorted set of
//     Redis. Its attempts keep being counted; later messages of its key pass it.
//
// After the last attempt of its [Policy] it goes to the queue {queue}.poison, and from there
// within moments into the poison store, where people find it (package poison).
//
// A handler that is Ordered parks later messages of a key behind one that waits at the broker
// or is a poison message, in order, until that is handled or discarded. A handler with
// BreakAfter stops receiving messages after so many in a row have failed at their first
// attempt, and probes with one; nothing goes to the poison queue meanwhile.
//
// # Nothing lost
//
// The log numbers the events of a partition 1, 2, 3, … without a gap, and the relay puts that
// position into the headers. For each reaction a [Ledger] keeps which positions are settled:
// handled, or discarded by an operator. So a message that arrives twice is recognised however
// late it comes, and an event that does not arrive is found: the auditor, one instance at a
// time, balances every ledger against the log, and delivers what is missing to that handler's
// queue again (internal/audit says how it can know). [Router.Books] returns the balance, and
// [Router.Replay] delivers history to one reaction. Foreign messages have no position: they
// are recognised by their id, for as long as the [Inbox] remembers it.
//
// # Files, in reading order
//
//	handler.go      what a declaration is; decide.go, reaction.go, project.go: the three kinds
//	policy.go       how a handler's messages are processed, and what operators may override
//	router.go       Config and New; plan.go checks declarations, describe.go describes them
//	run.go          start, readiness, drain; declare.go: the queues
//	pipeline.go     the stages of every message, as one list; result.go: what they return
//	retry.go        after a failed attempt; delay.go: where the pause is spent
//	poison.go       to the poison queue; collector.go: from there into the poison store
//	park.go         the order of a key through failures, with a cache in blockedkeys.go
//	breaker.go      the circuit breaker; the other stages: limit.go, turn.go, timeout.go, recover.go,
//	                dedupe.go, replay.go, refusal.go
//	ledger.go       where an event is in the log, and what is recorded about it; poisonledger.go:
//	                the same for those who retry and discard; audit.go: the auditor; books.go: the
//	                balance; redeliver.go: history to one reaction
//	topology.go     what former builds of the application have left behind
//	middleware.go   the application's own Watermill middleware
//	decider.go      load, fold, decide, append; projector.go: from the log to rows
//	execute.go      deciding a command for a caller in this process
//	commands.go     sending commands; await.go: waiting for their outcomes; commandhash.go: one
//	                id for two commands
//	ports.go        what drivers implement; ports_ledger.go, ports_topology.go: for ledger and topology
//	logguard.go     has the log compared with its witness; ports_witness.go: what drivers implement for it
//	metrics.go      the collectors; gauges.go: those that are sampled from the store
//	internal/       relay, auditor, catch-up subscription, worker pool, locks by key, health, message codec
//
// # Glossary
//
//	witness           knows outside of the store how far the log was published  Witness, GuardedLog
//	epoch             of the log; a new one begins when it has lost its end  events.Witnessed
//	aggregate         what a command changes; the id orders its messages    events.Command, events.State
//	outcome           how a command ended, stored with its events           events.Outcome
//	relay             publishes the log, which is the outbox, to the bus    internal/relay
//	checkpoint        how far a role has read the log, as a cursor          Checkpoints, events.Cursor
//	projection        rows kept up to date from the log, replayable         Project, ProjectionStore
//	ledger            which events of the log a reaction has settled        Ledger, ledger.go
//	settled           handled, or discarded by an operator                  events.Settlement
//	missing           published, not settled, and nowhere                   events.PlaceMissing
//	auditor, mark     finds what is missing, by a message that passes the queue  internal/audit
//	inbox             which foreign messages a handler has handled          Inbox, dedupe.go
//	keyed dispatcher  one message of a key at a time, other keys parallel   Policy.Concurrency, infra/dispatcher
//	poison message    one that its handler failed to process                PoisonStore, package poison
//	parked message    waits behind a failed message of its key, the blocker Parking, park.go
//	role, leader      background work that one elected instance does        Elector
package router
