package cli

import (
	"os"
	"runtime/debug"
)

// gcPercent is how much garbage may gather before it is collected, in percent of what
// is in use. A service holds a few megabytes and makes garbage with every message; with
// Go's default of 100 it collects dozens of times a second.
const gcPercent = 400

// setGCPercent trades some memory for time, unless the operator has decided with GOGC
// or GOMEMLIMIT.
func setGCPercent() {
	if os.Getenv("GOGC") == "" && os.Getenv("GOMEMLIMIT") == "" {
		debug.SetGCPercent(gcPercent)
	}
}
