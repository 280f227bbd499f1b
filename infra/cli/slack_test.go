//go:build !race

package cli

// slack is how many times longer than promised something may take in a test.
const slack = 1
