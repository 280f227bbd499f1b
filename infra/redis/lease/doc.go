// Package lease elects one of several instances for a role.
//
// A lease is a key that expires after five seconds and holds the token of the instance
// that has the role. The holder renews it (renew.lua) and gives it back (release.lua) only
// while the token is its own. An instance that dies is replaced within six seconds.
//
// A lease only saves work: a paused process may believe that it still holds one, until it asks
// the context of the role for its Err, which looks at the clock. What a leader writes must
// be safe when two instances write.
package lease
