// Package routertest tests handlers without a broker: everything runs in memory, through
// the real pipeline.
//
// A decision is tested by what a command leads to after given events:
//
//	kit := routertest.Start(t, catalogue, handlers...)
//	kit.Given(sample.Created{…}).When(sample.ChangeEmail{…}).Then(sample.EmailChanged{…})
//	kit.Given().When(sample.ChangeEmail{…}).Rejected("USER_NOT_FOUND")
//
// A reaction or a projection is tested by what it did:
//
//	kit.Record(sample.Created{…})   // store an event, and wait until everything has reacted
//	kit.Handled("send-welcome")     // the ids of the events that a reaction handled
//	kit.Poisoned("send-welcome")    // the poison messages: those that it failed to process
//	kit.Retry("send-welcome")       // as `pitwheel poison retry` does
//	kit.Published("user.events")    // what other services receive
//	kit.Row("user-directory", id, &row)
//
// Handlers that send commands themselves get the kit's sender from [StartFunc]:
//
//	kit := routertest.StartFunc(t, catalogue, func(commands *router.Commands) []router.Handler {
//		return []router.Handler{reserveOnOrder(commands), reserveStock()}
//	})
//
// [Faults] inject failures of brokers and stores, by script or by chance: calls fail,
// before or after the work is done, are late or hang, are made twice, or are swapped:
//
//	var faults routertest.Faults
//	kit := routertest.StartWith(t, faults.Inject, catalogue, handlers...)
//	faults.On("Append").Times(1).LoseAnswer()
//
// They wrap any publisher, subscriber or port outside of a kit, too.
//
// [Store], [Transport] and [PoisonStore] implement the framework's ports in memory. They
// can be used without a kit, wherever a program needs the ports but no broker.
package routertest
