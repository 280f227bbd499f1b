package cli

import (
	"os"
	"os/user"
	"strings"
)

// who returns user and host, for the audit trail.
func (c *cli) who() string {
	name := c.env("USER")
	if name == "" {
		if u, err := user.Current(); err == nil {
			name = u.Username
		}
	}
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return name + "@" + host
}

// env returns a variable of the environment.
func (c *cli) env(name string) string {
	value := ""
	for _, kv := range c.environ {
		if v, ok := strings.CutPrefix(kv, name+"="); ok {
			value = v
		}
	}
	return value
}
