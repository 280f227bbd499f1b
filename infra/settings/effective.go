package settings

import (
	"regexp"
	"strings"

	"github.com/pitwheel/pitwheel/infra/telemetry"
)

// The sources of a setting's value.
const (
	SourceFlag        = "flag"
	SourceEnvironment = "environment"
	SourceFile        = "file"
	SourceDefault     = "default"
)

// Origin is where the value of a setting comes from.
type Origin struct {
	// Source is one of the Source constants.
	Source string `json:"source"`
	// Location is the flag, the variable or the file. It is empty for a default.
	Location string `json:"location,omitempty"`
}

// String returns the source and the location.
func (o Origin) String() string { return strings.TrimSpace(o.Source + " " + o.Location) }

// Effective is the value of a setting as it may be shown, and where it comes from.
type Effective struct {
	Name  string `json:"name"`
	Value string `json:"value"`
	Origin
}

// Hidden is what is shown of a secret.
const Hidden = "(hidden)"

// Effective returns the values of all settings in the order of their declarations, without
// secrets.
func (s *Set) Effective(v Values) []Effective {
	out := make([]Effective, len(s.all))
	for i, one := range s.all {
		out[i] = Effective{one.Name, one.show(v.String(one.Name)), v.Origin(one.Name)}
	}
	return out
}

// HandlersOrigin returns where the values of single handlers come from.
func (v Values) HandlersOrigin() Origin { return Origin{SourceFile, v.handlersFile} }

// secretName matches settings whose value is taken for a secret, whether or not they are
// declared as such: it is better to hide too much.
var secretName = regexp.MustCompile(`(^|_)(pass(word|wd|phrase)?|pwd|secret|token|credentials?|(api|private|signing|encryption)_?key)(_|s?$)`)

// show returns a value of the setting as it may be shown.
func (s Setting) show(value string) string {
	switch {
	case value == "":
		return ""
	case s.Secret || secretName.MatchString(s.Name):
		return Hidden
	case strings.Contains(value, "://"):
		return telemetry.RedactURL(value)
	}
	return value
}
