//go:build race

package cli

// slack is how many times longer than promised something may take in a test: the
// race detector makes all that runs several times slower.
const slack = 4
