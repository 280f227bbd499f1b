// Package events is the vocabulary of a domain: what can be asked for (commands), what has
// happened (events), and how these are written, stored and refused.
//
// A domain declares its types with a few methods each, and registers them:
//
//   - An event is a struct with the method EventType ([Data]) and, if its data have the
//     aggregate's id, AggregateID ([Keyed]).
//   - A command is a struct with the methods CommandType and AggregateID ([Command]). It may
//     check itself ([Validator]), and be for an aggregate that does not exist yet
//     ([Identifiable]).
//   - The state of an aggregate is what its events fold into ([State]). Decisions receive it.
//   - A function Register(*Catalogue) error declares all of them as an aggregate, with
//     [Catalogue.Aggregate], [StateOf], [CommandOf] and [EventOf]. If the data of an event
//     change, an [Upcast] lets those be read that are stored in the old form.
//
// The example of the package is a domain; package router declares its handlers.
//
// A command ends with an [Outcome]: accepted, with its events, or rejected, with a code. A
// refusal is made with [Reject] or [Invalid]. Errors of the framework are an [Error] with a
// code. Handlers return [Permanent] or [RetryAfter] to decide about another attempt.
//
// # Files, in reading order
//
//	envelope.go   Data, Command, State; Header, Envelope, Recorded, Cursor
//	catalogue.go  the types of an application; declare.go: which can be declared;
//	              fields.go: their fields, and strict parsing
//	state.go      from the events of an aggregate to its state
//	outcome.go    how a command ends; what is stored with it
//	ledger.go     what a reaction has settled of the log, and where the rest is
//	checkpoint.go how far a role has read the log; witness.go: what is known of it outside of the store
//	errors.go     codes, rejections, and errors that say whether to try again
//	required.go   what data must have; nest.go: the envelope of Nest; undecodable.go: what is not a message
//	codec.go      the body of a message; fast.go: the usual form of it, read faster
//	id.go         ids, and how they are derived
//	names.go      the names of topics and poison queues
//
// The package imports the standard library, google/uuid and a JSON library only: other
// services can import it without a broker.
package events
