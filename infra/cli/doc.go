// Package cli is the command line of an application: dev and serve run it, send
// triggers a command, and the others look at what it did.
package cli
