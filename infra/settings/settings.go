package settings

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router"
)

// Setting is the declaration of one setting. Name and Usage are required.
type Setting struct {
	// Name is the key in the file: lower case, with underscores. It is upper case with
	// the application's prefix in the environment, and has dashes as a flag.
	Name string
	// Default is the value of a setting that is given nowhere.
	Default string
	// Usage is the help text, on one line.
	Usage string
	// Check returns what is wrong with a value, as the end of a sentence that begins
	// with the setting's name: "must be 1 to 10". It must not repeat a value that may
	// hold a secret. An empty value is checked only if the default is not empty. Nil:
	// every value is right. Checks for most purposes are in this package.
	Check func(value string) error
	// Secret says that the value must not be shown, not even in part. Passwords in URLs
	// are never shown; they need no such mark.
	Secret bool
	// Client says that the setting also concerns commands that only talk to a running
	// service, such as send.
	Client bool
}

// Flag returns the name of the setting as a flag, without its dashes in front.
func (s Setting) Flag() string { return strings.ReplaceAll(s.Name, "_", "-") }

func (s Setting) check(value string) error {
	if s.Check == nil || value == "" && s.Default == "" {
		return nil
	}
	return s.Check(value)
}

// Set is the settings of one application. It is not changed once it is made.
type Set struct {
	application string
	all         []Setting
	handlers    []string
}

// NewSet returns the settings of an application, whose name is made of lower-case
// letters, digits and dashes. Handlers are the names that the section "handlers" of
// the file may hold. A name that cannot be used or is used twice, and a setting without
// Usage, is an error with the code CONFIG.
func NewSet(application string, handlers []string, all ...Setting) (*Set, error) {
	if !regexp.MustCompile(`^[a-z][a-z0-9-]{0,62}$`).MatchString(application) {
		return nil, events.Errorf(events.CodeConfig, "the application is named %q; use lower-case letters, digits and '-', at most 63, and begin with a letter", application)
	}
	s := &Set{application: application, all: all, handlers: handlers}
	seen := map[string]bool{handlersKey: true, "config": true}
	for _, one := range all {
		switch {
		case !regexp.MustCompile(`^[a-z][a-z0-9]*(_[a-z0-9]+)*$`).MatchString(one.Name), strings.HasSuffix(one.Name, fileSuffix), strings.HasPrefix(one.Name, "test_"):
			return nil, events.Errorf(events.CodeConfig, "a setting is named %q; use lower-case letters, digits and '_', without %s at the end or test_ at the beginning", one.Name, fileSuffix)
		case injected(s.Env(one.Name), []string{s.prefix()}):
			return nil, events.Errorf(events.CodeConfig, "a setting is named %q; Kubernetes sets %s for a service of the application's name", one.Name, s.Env(one.Name))
		case seen[one.Name]:
			return nil, events.Errorf(events.CodeConfig, "the setting %q is declared twice, or belongs to the framework", one.Name)
		case strings.TrimSpace(one.Usage) == "":
			return nil, events.Errorf(events.CodeConfig, "the setting %q has no Usage; its help text is required", one.Name)
		}
		if err := one.check(one.Default); err != nil {
			return nil, events.Errorf(events.CodeConfig, "the default of the setting %s %w", one.Name, err)
		}
		seen[one.Name] = true
	}
	return s, nil
}

// All returns the declarations in their order.
func (s *Set) All() []Setting { return slices.Clone(s.all) }

// Env returns the name of a setting in the environment, such as SHOP_AMQP_URL.
func (s *Set) Env(name string) string { return s.prefix() + "_" + strings.ToUpper(name) }

// File returns the name of the file that is read if no other is named.
func (s *Set) File() string { return s.application + ".yaml" }

func (s *Set) prefix() string { return strings.ToUpper(strings.ReplaceAll(s.application, "-", "_")) }

// Defaults returns the values of settings that are given nowhere.
func (s *Set) Defaults() Values {
	v := Values{text: map[string]string{}, origins: map[string]Origin{}}
	for _, one := range s.all {
		v.text[one.Name] = one.Default
	}
	return v
}

// Explain names the setting behind an error with the code CONFIG: fields maps the
// field that the error names ([events.Error].Field) to a setting. A field that is
// itself the name of a setting needs no entry. Other errors are returned as they are.
func (s *Set) Explain(err error, fields map[string]string) error {
	if events.CodeOf(err) != events.CodeConfig {
		return err
	}
	e := asError(err)
	name, ok := fields[e.Field]
	if !ok && slices.ContainsFunc(s.all, func(one Setting) bool { return one.Name == e.Field }) {
		name, ok = e.Field, true
	}
	if !ok {
		return err
	}
	e.Field = name
	if !strings.Contains(e.Message, s.Env(name)) {
		e.Message = s.Env(name) + ": " + e.Message
	}
	return e
}

// Values are the values of all settings of a [Set], made with [Set.Load], or with
// [ValuesOf] in a test. The zero value has none. Values are safe for concurrent use.
type Values struct {
	text    map[string]string
	origins map[string]Origin // of values that are not defaults
	// Handlers is what operators set for single handlers, in the file.
	Handlers     map[string]router.Overrides
	handlersFile string
}

// ValuesOf returns the given values, for tests.
func ValuesOf(text map[string]string) Values {
	v := Values{text: maps.Clone(text), origins: map[string]Origin{}}
	for name := range text {
		v.origins[name] = Origin{Source: SourceFlag, Location: "--" + Setting{Name: name}.Flag()}
	}
	return v
}

// String returns the value of a setting. It panics with an [*events.Error] with the code
// CONFIG if no setting of that name is declared: the application then does not start.
func (v Values) String(name string) string {
	text, ok := v.text[name]
	if !ok && len(v.text) == 0 {
		panic(events.Errorf(events.CodeConfig, "the setting %q was asked of Values that hold none; load them with Set.Load, or make them with settings.ValuesOf in a test", name))
	}
	if !ok {
		panic(events.Errorf(events.CodeConfig, "no setting named %q is declared%s", name, Suggest(name, slices.Sorted(maps.Keys(v.text)))))
	}
	return text
}

// Int returns the value of a setting that [IntBetween] checks; 0 if it is empty.
func (v Values) Int(name string) int {
	n, _ := strconv.Atoi(v.String(name)) // Its check has seen to it.
	return n
}

// Duration returns the value of a setting that [DurationBetween] checks; 0 if it is empty.
func (v Values) Duration(name string) time.Duration {
	d, _ := ParseDuration(v.String(name)) // Its check has seen to it.
	return d
}

// Bool returns the value of a setting that [Bool] checks; false if it is empty.
func (v Values) Bool(name string) bool {
	is, _ := strconv.ParseBool(v.String(name)) // Its check has seen to it.
	return is
}

// Given reports whether a setting has another source than its default.
func (v Values) Given(name string) bool { return v.origins[name].Source != "" }

// Origin returns where the value of a setting comes from. It is that of [Set.Load] even
// after [Values.With].
func (v Values) Origin(name string) Origin {
	return cmp.Or(v.origins[name], Origin{Source: SourceDefault})
}

// With returns a copy in which some values are replaced. They count as not given.
func (v Values) With(text map[string]string) Values {
	c := v
	c.text = maps.Clone(v.text)
	if c.text == nil {
		c.text = map[string]string{}
	}
	maps.Copy(c.text, text)
	return c
}

// Format prints no value, so that secrets stay out of logs.
func (v Values) Format(f fmt.State, _ rune) { _, _ = fmt.Fprintf(f, "%d settings", len(v.text)) }
