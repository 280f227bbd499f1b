// Package embedded serves an in-process Redis over TCP, so that the whole
// application runs on a machine with nothing but Go. It keeps everything in
// memory and loses it at the end: it is for development and tests only. It has no persistence, no
// cluster and no true stream lag, so none of these can be tried on it.
package embedded
