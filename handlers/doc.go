// Package handlers is the reference application: one file per handler, and handlers.go
// as the table of contents. A new handler is one file that declares it, one line in
// [All], and a test.
package handlers
