// Package routertest tests handlers without any broker: everything runs in
// memory, through the real pipeline.
//
// A decision is tested as a story:
//
//	kit := routertest.Start(t, catalogue, handlers...)
//	kit.Given(sample.Created{…}).When(sample.ChangeEmail{…}).Then(sample.EmailChanged{…})
//	kit.Given().When(sample.ChangeEmail{…}).Rejected("USER_NOT_FOUND")
//
// A reaction or a projection is tested by what it did:
//
//	kit.Record(sample.Created{…})   // store an event and let everything react to it
//	kit.Handled("send-welcome")    // the ids of the events that a reaction handled
//	kit.Poisoned("send-welcome")   // the letters that it could not handle
//	kit.Retry("send-welcome")      // as poison retry does
//	kit.Published("user.events")   // what other services would see
//	kit.Row("user-directory", id, &row)
//
// [Faults] make brokers and stores misbehave, by script or by chance: they fail, before
// or after they have done what they were asked for, are late or hang, do it twice, and
// mix it up:
//
//	var faults routertest.Faults
//	kit := routertest.StartWith(t, faults.Inject, catalogue, handlers...)
//	faults.On("Append").Times(1).LoseAnswer()
//
// They go around any publisher, subscriber or port outside a kit, too.
//
// [Store] and [Transport] can also be used on their own, wherever a program wants
// the framework's ports without a broker.
package routertest
