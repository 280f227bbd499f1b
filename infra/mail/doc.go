// Package mail sends mail over SMTP ([Sender]) and, for development and tests,
// catches it ([Catcher]).
//
// Every mail carries the key to deduplicate by, as its Message-ID and in the header
// X-Pitwheel-Event-Id: at-least-once delivery may send a mail twice.
//
// An application that sends mail declares [Settings], opens a sender with
// [FromServices], and adds [DevService] to what dev runs with it:
//
//	app.Application{
//		…
//		Handlers: func(s app.Services) []router.Handler {
//			return handlers.All(mail.FromServices(s))
//		},
//		Settings: mail.Settings(),
//		Dev:      []app.DevService{mail.DevService()},
//	}
package mail
