package settings

import (
	"slices"
	"strings"
)

// environment returns the variables that can be settings. The prefix and TEST_ belong
// to tests, and some names to Kubernetes.
func (s *Set) environment(environ []string) map[string]string {
	env, services := map[string]string{}, []string{s.prefix()}
	for _, kv := range environ {
		name, value, _ := strings.Cut(kv, "=")
		// An empty variable is switched off, as docker compose does it.
		if value == "" || !strings.HasPrefix(name, s.prefix()+"_") || strings.HasPrefix(name, s.Env("test_")) {
			continue
		}
		env[name] = value
		if service, is := strings.CutSuffix(name, "_SERVICE_HOST"); is {
			services = append(services, service)
		}
	}
	for name := range env {
		if injected(name, services) {
			delete(env, name)
		}
	}
	return env
}

// injected reports whether Kubernetes sets a variable of that name in every container
// for one of the services, whose names are those of variables.
func injected(name string, services []string) bool {
	return slices.ContainsFunc(services, func(service string) bool {
		rest, is := strings.CutPrefix(name, service+"_")
		return is && (rest == "SERVICE_HOST" || rest == "SERVICE_PORT" || rest == "PORT" ||
			strings.HasPrefix(rest, "SERVICE_PORT_") || strings.HasPrefix(rest, "PORT_"))
	})
}
