// Package topology records which handlers are in force, so that what a former build of an
// application has declared is found: bindings, queues, and messages in them.
//
// It is one hash, topology, with some fields for each handler; a field's name begins with the
// handler's name and its queue:
//
//	handler        application, kind and order, as JSON
//	since          when it was declared first, in milliseconds since 1970, as all times
//	declared       when a running instance declared it last
//	consumed       when a running instance that consumes it did
//	renamed        the handler that has its messages now, in place of all others
//	binding t y    when a binding to the topic t with the type y was declared last
package topology
