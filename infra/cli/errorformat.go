package cli

import "strings"

// errorFormat finds the value of -o in a command line that may not be parsable. The last
// one counts, as it does when the line is parsed.
func errorFormat(args []string) string {
	format := formatTable
	for i := 0; i < len(args) && args[i] != "--"; i++ {
		flag, value, attached := splitFlag(args[i])
		if flag == "" {
			continue
		}
		if !attached {
			if i++; i == len(args) {
				break
			}
			value = args[i] // whatever that looks like
		}
		if flag == "o" {
			format = value
		}
	}
	return format
}

// valueShorthands are the shorthands of flags that take a value.
const valueShorthands = "dfno"

// splitFlag finds the flag in an argument that takes a value, by its shorthand, and
// the value if that is attached, as in -yojson. Of the long flags it knows --output.
func splitFlag(arg string) (flag, value string, attached bool) {
	if long, is := strings.CutPrefix(arg, "--"); is {
		if long, value, attached = strings.Cut(long, "="); long == "output" {
			return "o", value, attached
		}
		return "", "", false
	}
	at := strings.IndexAny(arg, valueShorthands)
	if at < 0 || !strings.HasPrefix(arg, "-") {
		return "", "", false
	}
	rest := arg[at+1:]
	return arg[at : at+1], strings.TrimPrefix(rest, "="), rest != ""
}
