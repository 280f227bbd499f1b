// Package porttest has a contract suite for each port of packages router and poison. An
// implementation of a port, in this module or another, passes its suite if the router can
// rely on it.
//
// A suite takes a function that returns a fresh, empty implementation. It is called once
// for each subtest, and releases what it has created with [testing.T.Cleanup]:
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
// Subtests run in parallel, so the function must return a different database, or
// namespace of a broker, each time. [TransportNames] returns the names to remove from a
// broker afterwards. A single case is selected by its name:
//
//	go test -run 'TestLog/conflicting_version'
//
// # What a suite requires
//
// A suite requires what the comments of the port promise and all implementations agree on.
// Performance, the behaviour when a server is unreachable, and features beyond the port
// need tests of their own. The following differs between implementations, so it is not
// required, and users of a port must not rely on it:
//
//   - Whether a queue receives messages that were published to its topic before it was
//     declared. A stream replays them; an exchange has dropped them.
//   - Whether publishing into a queue creates it. The messages must be there for the
//     subscriber that declares the queue later, and HasQueue is false until then.
//   - What a subscription with a topic and no types receives: everything, or it is refused.
//   - Metadata that a transport adds, such as a redelivery flag, and the fractions of a
//     second of the metadata "timestamp", which AMQP cannot carry. The body has them.
//   - How messages are distributed among the instances that share a queue: one of them may
//     receive all, and one may prefetch more than it delivers.
//
// # Time
//
// No suite depends on the speed of the machine. Whatever must happen is waited for up to
// two minutes; a pause must not be shorter than requested, and may be longer; and what must
// not happen is watched for during 20 ms, which may miss a fault, but never reports a false
// one.
//
// # Property tests
//
// The suites for [router.Log], [router.LogReader], [router.ProjectionStore] and
// [router.Ledger] compare the implementation with a model, after random sequences of appends,
// repeated commands, conflicts, snapshots, commits and settled events: versions are 1..n,
// positions have no gaps, a command keeps its outcome, rows change only from the stored
// cursor, and nothing counts as settled that was not.
package porttest
