// Package conformance runs the contract suites of router/porttest on the implementations
// of this module: in memory, on an in-process Redis, on a real one, and on RabbitMQ. It
// contains tests only.
package conformance
