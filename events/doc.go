// Package events is the vocabulary that every room of Pitwheel shares: what an
// event and a command look like ([Header], [Envelope]), how they are written on
// the wire ([Encode], [Decode]), which types exist ([Catalogue]), what the log
// stores ([Recorded], [AppendRequest], [Outcome]) and how failures are named ([Error]).
//
// It imports the standard library and google/uuid only, so that any service may
// import it without pulling in a broker. Start with the subpackage users, the
// reference domain, to see how a domain declares its own types.
package events
