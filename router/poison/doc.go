// Package poison holds messages that a handler failed to process, and the
// administration of them.
//
// A message goes to the queue {queue}.poison when its handler stops retrying, or when
// the broker stops delivering it. The router moves it from there into a store, whole and
// with everything that is known about its failure: that is a [Message]. There is one for
// each handler and message, however often that fails.
//
// An [Admin] is what people use to look at them and to resolve them. The command line,
// the test kit and any other front end share it:
//
//	admin, err := poison.New(poison.Config{Store: store, Queues: transport, Parking: store})
//
//	// What failed? List, or count by some of the fields.
//	groups, err := poison.GroupBy(admin.Messages(ctx, poison.Filter{}, poison.NewestFirst), "handler", "code")
//
//	// What would be retried? A plan changes nothing.
//	plan, err := admin.Plan(ctx, poison.Selection{Filter: poison.Filter{Fields: map[string][]string{"code": {"TIMEOUT"}}}})
//
//	// Do it: each message goes to the queue of its own handler again, and of no other.
//	tally, err := admin.Retry(ctx, plan, poison.Options{Who: "ada", Why: "the mail server is back"})
//
// [Admin.Follow] waits for what becomes of retried messages.
// [Admin.Discard] removes messages that are not needed, [Admin.Edit] corrects a body before
// a retry, [Admin.Export] and [Admin.Import] move messages between stores as JSON lines.
// Whatever changes a message is kept in an audit trail, see [Admin.Changes].
//
// # What is guaranteed
//
// An operation that fails, is interrupted or is killed loses nothing, and can be repeated:
//
//   - A retried message is removed only after the broker has confirmed it in the
//     handler's queue. It may arrive twice, with the same id.
//   - What waits behind a discarded message, in a handler that keeps the order of its
//     keys, is released before the message is removed.
//   - A message that has failed again since it was read is kept.
//   - An interruption lets the batch in progress finish, so that nothing is half done.
package poison
