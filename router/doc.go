// Package router is the framework: it turns declarations into a running
// Watermill router.
//
// A team declares handlers with [Decide] (a command), [On] (a reaction to an
// event) and [Project] (a read model), and hands them to [New] together with the
// ports that the outside fills: a [Transport], a [Log], [Views] and so on. [New]
// refuses whatever is wrong with a declaration; [Router.Run] consumes until its
// context ends and then drains.
//
// Where to look:
//
//	handler.go   On, Decide, Project: what can be declared
//	policy.go    how a handler is treated, and how operators tune it
//	ports.go     what the framework asks of the outside
//	pipeline.go  the middleware of every message, as one list
//	plan.go      what is checked at the start
//	retry.go     what follows a failed attempt; delay.go: where the pause is spent
//	poison.go    what is set aside, and letters.go, which keeps it for people
//	breaker.go   a handler that fails and fails; limit.go: how fast it may go
//	park.go      order of a key through failures
//	decide.go    load, fold, decide, append
//	relay.go     from the log to the event bus
//	project.go   from the log to the views
//	commands.go  sending commands and waiting for their outcome
//	run.go       start, readiness, drain
//
// The subpackage routertest tests handlers without any broker.
package router
