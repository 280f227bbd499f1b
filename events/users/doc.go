// Package users is the reference domain: what can be asked of a user
// (commands.go), what can have happened to one (events.go), and [User], the state
// that the events fold into. The decisions themselves are in package handlers. Commands
// for trying it out are in samples.go.
package users
