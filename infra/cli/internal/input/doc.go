// Package input has what commands take: checks of their arguments, values of their flags,
// files and stdin, and errors that name the nearest word.
package input
