// Package embedded serves an in-process Redis over TCP, so that the whole
// application runs on a machine with nothing but Go. It is for development and tests
// only: it keeps everything in memory and has no cluster and no true stream lag, so
// neither can be tried on it.
//
// With a directory ([Config.Dir]), its data outlives the process. A snapshot of all of it
// is written there about every second and at the end, in place of the one before: a crash
// loses what has changed since the latest, and nothing in part. With more data a snapshot
// takes longer and is written less often, at most a twentieth of the time; nothing else is
// served meanwhile, which is noticed from some ten thousand events on.
package embedded
