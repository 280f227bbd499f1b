package cli

import (
	"testing"
)

// A shell that puts in a variable that is not set leaves a flag without a value. No
// command may take that for no flag at all.
func TestFlags_Empty(t *testing.T) {
	t.Parallel()
	environ := []string{"PITWHEEL_DEV_REDIS_ADDR=127.0.0.1:1", "PITWHEEL_DEV_SMTP_ADDR=127.0.0.1:0", "PITWHEEL_HTTP_ADDR=127.0.0.1:0"}
	for _, tt := range []struct {
		flag string
		args []string
	}{
		{"--handler", []string{"poison", "retry", "-y", "--handler", ""}},
		{"--handler", []string{"poison", "discard", "-y", "--reason", "r", "--handler", ""}},
		{"--handler", []string{"poison", "discard", "-y", "--reason", "r", "--code", "PANIC", "--handler", ""}},
		{"--handler", []string{"poison", "discard", "-y", "--reason", "r", "--handler", "", "--handler", "send-welcome"}},
		{"--handler", []string{"poison", "export", "--handler", "a,,b"}},
		{"--handler", []string{"poison", "list", "--handler="}},
		{"--type", []string{"poison", "retry", "--all", "-y", "--type", " "}},
		{"--code", []string{"poison", "retry", "--all", "-y", "--code", ""}},
		{"--older", []string{"poison", "retry", "--all", "-y", "--older", ""}},
		{"--newer", []string{"poison", "retry", "--all", "-y", "--newer", ""}},
		{"--reason", []string{"poison", "discard", "--all", "-y", "--reason", ""}},
		{"--reason", []string{"poison", "discard", "--all", "-y", "--reason", " \t"}},
		{"--rate", []string{"poison", "retry", "--all", "-y", "--rate", ""}},
		{"--filter", []string{"poison", "retry", "--all", "-y", "--filter", ""}},
		{"--filter", []string{"poison", "retry", "--all", "-y", "--filter", "correlation="}},
		{"--type", []string{"event", "tail", "--type", ""}},
		{"--since", []string{"event", "tail", "--since", ""}},
		{"--only", []string{"serve", "--only", ""}},
		{"--only", []string{"serve", "--only="}},
		{"--only", []string{"serve", "--only", "send-welcome,,create-user"}},
		{"--id", []string{"send", "CREATE_USER", "-f", "email=ada@example.com", "-f", "name=Ada", "--id", ""}},
	} {
		r := pitwheel(t, environ, tt.args...).exits(t, exitUsage)
		has(t, r.stderr, tt.flag)
	}
}
