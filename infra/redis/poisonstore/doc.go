// Package poisonstore keeps poison messages: messages that a handler failed to process,
// for people to search, retry, edit or discard.
//
// There is one poison message for a handler and a message, however often that fails:
// storing it again counts one more failure (store.lua). Indexes sorted by the time of the
// last failure, one of all and one for each handler, make lists that a reader can go
// through page by page while messages come and go.
//
// A reader acts on what it has read: a removal or an edit is refused if the message has
// failed again meanwhile (its revision differs), and is written together with its entry in
// the audit stream ([PoisonStore.PoisonChanges]). An operation on many messages claims them
// first (claim.lua), so that no other one works on them at the same time.
package poisonstore
