// Package httpapi is the HTTP interface of an application: it accepts commands, returns
// rows of projections, and serves health and metrics.
//
//	GET  /                              what is there: a page, JSON or text
//	GET  /v1/commands                   the types of commands, their fields and an example
//	GET  /v1/commands/{TYPE}            one of them
//	POST /v1/commands/{TYPE}            the command's data as a JSON object
//	GET  /v1/projections                the names of the projections
//	GET  /v1/projections/{name}/{key}   one row
//	GET  /v1/projections/{name}         rows in the order of their keys
//	GET  /livez, /readyz, /metrics
//
// A command answers 202 with its ids or, with ?wait=5s, its outcome: 200
// accepted, 422 rejected. Every other failure is
// {"error":{"code","message","hint","retryable"}}; which status belongs to which
// code is in errors.go. A path that exists for another method answers 405 with Allow.
//
// Every answer to a command carries its id as Idempotency-Key: sending the
// command again with this header returns its outcome and never adds an event twice.
package httpapi
