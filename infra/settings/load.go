package settings

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/knadh/koanf/providers/file"
	"github.com/knadh/koanf/v2"

	"github.com/pitwheel/pitwheel/events"
)

const (
	handlersKey = "handlers"
	fileSuffix  = "_file"
)

// Source is where settings are read from.
type Source struct {
	// File is the configuration file. Empty: the one that the environment names
	// (SHOP_CONFIG), else ./shop.yaml, which may be missing.
	File string
	// Flags are settings by name, over all other sources: flags, or values from code.
	Flags map[string]string
	// Environ is the environment, as [os.Environ] returns it.
	Environ []string
}

// Load lays the flags over the environment over the file over the defaults and
// checks every value. All faults are reported at once, as an error with the code
// CONFIG; each names the flag, the environment variable, or the file and its key.
func (s *Set) Load(from Source) (Values, error) {
	env := s.environment(from.Environ)
	path, hint := from.File, "--config names it"
	if path == "" {
		path, hint = env[s.Env("config")], s.Env("config")+" names it"
	}
	optional := path == ""
	if optional {
		path, hint = s.File(), "it is read because it lies in the current directory"
	}
	// A separator that no handler's name can hold, so that a name with a dot stays one key.
	k := koanf.New("/")
	if err := k.Load(file.Provider(path), yamlAsWritten{}); err != nil && !(optional && errors.Is(err, os.ErrNotExist)) {
		return Values{}, events.Errorf(events.CodeConfig, "the configuration file %q cannot be read: %w", path, withoutText(err)).WithHint("%s", hint)
	}
	v := s.Defaults()
	var errs, more []error
	v.handlersFile = path
	v.Handlers, more = overridesOf(k.Get(handlersKey), s.handlers)
	for _, err := range more {
		errs = append(errs, fmt.Errorf("%s: %w", path, err))
	}
	k.Delete(handlersKey)
	inFile, more := s.fileValues(k, path)
	errs = append(errs, more...)
	inEnv, more := s.envValues(env)
	errs = append(errs, more...)
	shown := map[string]string{}
	for _, layer := range []map[string]value{inFile, inEnv, flagValues(from.Flags)} {
		for _, name := range slices.Sorted(maps.Keys(layer)) {
			if _, known := v.text[name]; !known {
				errs = append(errs, fmt.Errorf("%q is not a setting%s", name, s.suggest(name, s.names(), strconv.Quote)))
				continue
			}
			v.text[name], v.origins[name], shown[name] = layer[name].text, layer[name].origin, layer[name].shown
		}
	}
	for _, one := range s.all {
		if err := one.check(v.text[one.Name]); err != nil {
			errs = append(errs, fmt.Errorf("%s %w", shown[one.Name], err))
		}
	}
	if len(errs) > 0 {
		return Values{}, events.Errorf(events.CodeConfig, "%w", errors.Join(errs...))
	}
	return v, nil
}

// value is the value of a setting, what an error calls it, and where it comes from.
type value struct {
	text, shown string
	origin      Origin
}

func flagValues(flags map[string]string) map[string]value {
	values := map[string]value{}
	for name, text := range flags {
		flag := "--" + Setting{Name: name}.Flag()
		values[name] = value{text, "the flag " + flag, Origin{SourceFlag, flag}}
	}
	return values
}

func (s *Set) names() []string {
	var out []string
	for _, one := range s.all {
		out = append(out, one.Name)
	}
	return out
}

// envValues reads the settings of the environment, by name.
func (s *Set) envValues(env map[string]string) (map[string]value, []error) {
	given := map[string]string{}
	for name, v := range env {
		if name != s.Env("config") {
			given[strings.ToLower(strings.TrimPrefix(name, s.Env("")))] = v
		}
	}
	shown := func(key string) string { return "the environment variable " + s.Env(key) }
	origin := func(key string) Origin { return Origin{SourceEnvironment, s.Env(key)} }
	return s.pick(given, shown, origin, func(key string) error {
		return fmt.Errorf("the environment has %s, which is not a setting%s", s.Env(key), s.suggest(key, s.keys(key, "config"), s.Env))
	})
}

// fileValues reads the settings of the file, by name.
func (s *Set) fileValues(k *koanf.Koanf, path string) (map[string]value, []error) {
	given := map[string]string{}
	var errs []error
	for key, v := range k.Raw() {
		switch v.(type) {
		case nil:
			given[key] = ""
		case map[string]any, []any:
			given[key] = "" // An unknown key is reported below.
			if slices.Contains(s.names(), key) {
				errs = append(errs, fmt.Errorf("%s: %s must be a single value", path, key))
			}
		default:
			given[key] = fmt.Sprint(v)
		}
	}
	shown := func(key string) string { return path + ": " + key }
	origin := func(string) Origin { return Origin{SourceFile, path} }
	values, more := s.pick(given, shown, origin, func(key string) error {
		return fmt.Errorf("%s: %q is not a setting%s", path, key, s.suggest(key, s.keys(key, handlersKey), strconv.Quote))
	})
	return values, append(errs, more...)
}

// pick returns the settings among the values that a source gives by key; empty ones are
// left out. Shown is what an error calls a key, origin where the value of a key comes
// from, and unknown the error for a key that is not a setting.
func (s *Set) pick(given map[string]string, shown func(key string) string, origin func(key string) Origin, unknown func(key string) error) (map[string]value, []error) {
	values := map[string]value{}
	var errs []error
	for _, name := range s.names() {
		v, err := take(given, name, shown, origin)
		if err != nil {
			errs = append(errs, err)
		} else if v.text != "" {
			values[name] = v
		}
	}
	for _, key := range slices.Sorted(maps.Keys(given)) {
		errs = append(errs, unknown(key))
	}
	return values, errs
}

// take removes a name from the given values and returns its value, which may stand in
// a file that the name with the suffix _file names; its text is "" if it is not given.
func take(values map[string]string, name string, shown func(key string) string, origin func(key string) Origin) (value, error) {
	v, ok := values[name]
	path, fromFile := values[name+fileSuffix]
	delete(values, name)
	delete(values, name+fileSuffix)
	source := shown(name + fileSuffix)
	switch {
	case ok && fromFile:
		return value{}, fmt.Errorf("%s is given twice, also as %s; keep one", shown(name), source)
	case !fromFile:
		return value{v, shown(name), origin(name)}, nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return value{}, fmt.Errorf("%s names a file that cannot be read: %w", source, err)
	}
	if strings.TrimSpace(string(text)) == "" {
		// A secret that is not filled in yet, rather than a setting that is switched off.
		return value{}, fmt.Errorf("%s names the file %s, which is empty; fill it, or leave the setting out", source, path)
	}
	from := origin(name + fileSuffix)
	from.Location += " (the file " + path + ")"
	return value{strings.TrimRight(string(text), "\r\n"), fmt.Sprintf("%s (the file %s)", source, path), from}, nil
}

// suggest returns the end of a message about an unknown key: the nearest one, as the
// source shows it, or how to see all of them.
func (s *Set) suggest(key string, known []string, shown func(string) string) string {
	if nearest := Nearest(key, known); nearest != "" {
		return "; the nearest is " + shown(nearest)
	}
	return fmt.Sprintf("; `%s serve --help` lists the settings", s.application)
}

// keys returns the keys that a source may have: the settings, and one more. For a key with
// the suffix _file they include those that have it, too.
func (s *Set) keys(key, more string) []string {
	keys := append(s.names(), more)
	if strings.HasSuffix(key, fileSuffix) {
		for _, name := range s.names() {
			keys = append(keys, name+fileSuffix)
		}
	}
	return keys
}

// asError returns a copy of the [events.Error] in err's chain, which must have one,
// with the whole text of err.
func asError(err error) *events.Error {
	var e *events.Error
	_ = errors.As(err, &e)
	c := *e
	c.Message = err.Error()
	return &c
}

// withoutText hides what a YAML error repeats of the file in backquotes, since that
// may be a secret.
func withoutText(err error) error {
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, os.ErrPermission) {
		return err
	}
	return errors.New(regexp.MustCompile("`[^`]*`").ReplaceAllString(err.Error(), "…"))
}
