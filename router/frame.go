package router

import "strings"

// failingFrame is where a stack says that the panic happened: the first function
// below the panic that is not the runtime's own, and its line.
func failingFrame(stack string) string {
	lines := strings.Split(stack, "\n")
	last := -1
	for i, line := range lines {
		if strings.HasPrefix(line, "panic(") {
			last = i // Of a panic while panicking, the first one is at the end.
		}
	}
	if last < 0 {
		return ""
	}
	for i := last + 2; i+1 < len(lines); i += 2 {
		name := lines[i]
		if strings.HasPrefix(name, "runtime.") {
			continue
		}
		if open := strings.LastIndexByte(name, '('); open > 0 {
			name = name[:open]
		}
		file, _, _ := strings.Cut(strings.TrimSpace(lines[i+1]), " ")
		return bounded(name[strings.LastIndexByte(name, '/')+1:]+" "+file[strings.LastIndexByte(file, '/')+1:], maxName)
	}
	return ""
}
