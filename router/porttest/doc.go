// Package porttest holds one contract suite for each port of package router. Whoever
// implements a port, in this module or another, runs its suite, and so learns whether
// the router can rely on the implementation.
//
// A suite takes a function that returns a fresh, empty implementation; it is called once
// for each subtest and must release what it has made with [testing.T.Cleanup]:
//
//	func TestLog(t *testing.T) {
//		porttest.TestLog(t, func(t *testing.T) router.Log {
//			db, err := mylog.Open(t.Context(), emptyDatabase(t))
//			if err != nil {
//				t.Fatal(err)
//			}
//			t.Cleanup(func() { _ = db.Close() })
//			return db
//		})
//	}
//
// Subtests run in parallel, so the function must not hand out the same database, or
// namespace of a broker, twice. One fault can be looked at alone:
//
//	go test -run 'TestLog/conflicting_version'
//
// # What a suite asks
//
// A suite asks for what the comments of the port promise and what every implementation
// must agree on, and nothing else: how long something may take, what happens when a
// server is away, and what an implementation offers beyond the port belong into tests of
// its own. What is probable and must not be relied on is not asked for either:
//
//   - Whether a queue gets what was published to its topic before it was declared. A log
//     in the broker may replay it; an exchange has dropped it.
//   - Whether a queue is made by publishing straight into it. What is published must be
//     there for the subscriber that declares the queue later, and [router.Transport]'s
//     HasQueue is false until then.
//   - Metadata that a transport adds, such as a redelivery flag, and a timestamp's
//     fractions of a second, which AMQP cannot carry. The message's body has both.
//   - Concurrency across two instances that share a queue: one of them may get all.
//
// Suites never depend on the speed of a machine. What merely must not hang is waited for
// for two minutes; a pause is only checked for not being shorter than asked; and what must
// not happen is looked for during 20 ms, which may miss a fault and never reports a wrong one.
//
// Two suites contain property tests: whatever sequence of appends, repetitions, conflicts
// and snapshots is drawn, a log equals a model of it, and so do the rows of a projection.
package porttest
