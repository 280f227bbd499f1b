// Package mail sends mail over SMTP ([Sender]) and, for development and tests,
// catches it ([Catcher]).
//
// The key to dedupe on travels with every mail, as its Message-ID and in the
// header X-Pitwheel-Event-Id, so that a mail server or a reader can drop the
// repetition that at-least-once delivery allows.
package mail
