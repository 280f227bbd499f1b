package cli

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"

	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/providers/file"
	"github.com/knadh/koanf/v2"

	"github.com/pitwheel/pitwheel/events"
)

const (
	envPrefix   = "PITWHEEL_"
	envConfig   = "PITWHEEL_CONFIG"
	defaultFile = "pitwheel.yaml"
	handlersKey = "handlers"
	fileSuffix  = "_file"
)

// load lays the flags over the environment over the file over the defaults and
// checks every value. All that is wrong is told at once; each line names its key
// and never a secret. configFlag is the value of --config, flags are the
// settings given as flags, handlers the names that may be tuned.
func load(configFlag string, flags map[string]string, environ []string, handlers []string) (*settings, error) {
	all := known()
	env := environment(environ)
	// A separator that no handler's name can hold, so that a name with a dot stays one key.
	k := koanf.New("/")
	var errs []error

	path, explicit := configFlag, "--config"
	if path == "" {
		path, explicit = env[envConfig], envConfig
	}
	if path == "" {
		path, explicit = defaultFile, ""
	}
	if err := k.Load(file.Provider(path), yaml.Parser()); err != nil && (explicit != "" || !errors.Is(err, os.ErrNotExist)) {
		return nil, events.Errorf(events.CodeConfig, "the configuration file %q cannot be read: %w", path, withoutText(err)).WithHint("%s", fileHint(explicit))
	}
	tuning, tuningErrs := tuningOf(k.Get(handlersKey), handlers)
	errs = append(errs, tuningErrs...)
	k.Delete(handlersKey)

	inFile, fileErrs := fileValues(k, all, path)
	errs = append(errs, fileErrs...)
	inEnv, envErrs := envValues(env, all)
	errs = append(errs, envErrs...)
	given := koanf.New("/")
	for _, layer := range []map[string]string{inFile, inEnv, flags} {
		values := map[string]any{}
		for key, v := range layer {
			values[key] = v
		}
		if err := given.Load(confmap.Provider(values, ""), nil); err != nil {
			return nil, events.Errorf(events.CodeInternal, "the settings cannot be merged: %w", err)
		}
	}

	s := &settings{Handlers: tuning, given: map[string]bool{}}
	for _, one := range all {
		v := one.fallback
		if given.Exists(one.key) {
			v = given.String(one.key)
			s.given[one.key] = true
		}
		if err := one.set(s, v); err != nil {
			errs = append(errs, fmt.Errorf("%s (%s) %w", one.key, one.env(), err))
		}
	}
	if len(errs) > 0 {
		return nil, events.Errorf(events.CodeConfig, "%w", errors.Join(errs...))
	}
	return s, nil
}

func fileHint(explicit string) string {
	if explicit == "" {
		return "it is read because it lies in the current directory"
	}
	return explicit + " names it"
}

// environment is what of the environment is ours. PITWHEEL_TEST_* belongs to tests.
func environment(environ []string) map[string]string {
	env := map[string]string{}
	for _, kv := range environ {
		name, value, _ := strings.Cut(kv, "=")
		// An empty variable is one that somebody switched off, as docker compose does.
		if strings.HasPrefix(name, envPrefix) && !strings.HasPrefix(name, "PITWHEEL_TEST_") && value != "" {
			env[name] = value
		}
	}
	return env
}

// envValues reads the settings of the environment, by key.
func envValues(env map[string]string, all []setting) (map[string]string, []error) {
	values, names := map[string]string{}, []string{envConfig}
	rest := map[string]string{}
	for name, v := range env {
		if name != envConfig {
			rest[strings.ToLower(strings.TrimPrefix(name, envPrefix))] = v
		}
	}
	var errs []error
	for _, s := range all {
		names = append(names, s.env())
		v, ok, err := take(rest, s.key)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s %w", s.env(), err))
		} else if ok {
			values[s.key] = v
		}
	}
	for key := range rest {
		name := envPrefix + strings.ToUpper(key)
		errs = append(errs, fmt.Errorf("the environment has %s, which is no setting; the nearest is %s", name, nearest(name, names)))
	}
	return values, errs
}

// fileValues reads the settings of the file, by key.
func fileValues(k *koanf.Koanf, all []setting, path string) (map[string]string, []error) {
	values, names := map[string]string{}, []string{handlersKey}
	rest := map[string]string{}
	var errs []error
	for key, v := range k.Raw() {
		switch v.(type) {
		case nil:
			rest[key] = ""
		case map[string]any, []any:
			rest[key] = "" // Told below if the key is unknown.
			for _, s := range all {
				if s.key == key {
					errs = append(errs, fmt.Errorf("%s: %s must be a single value", path, key))
				}
			}
		default:
			rest[key] = fmt.Sprint(v)
		}
	}
	for _, s := range all {
		names = append(names, s.key)
		v, ok, err := take(rest, s.key)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %s %w", path, s.key, err))
		} else if ok && v != "" {
			values[s.key] = v
		}
	}
	for key := range rest {
		errs = append(errs, fmt.Errorf("%s: %q is no setting; the nearest is %q", path, key, nearest(key, names)))
	}
	return values, errs
}

// take removes a key from the given values and returns its value, which may
// stand in a file that the key with the suffix _file names.
func take(values map[string]string, key string) (string, bool, error) {
	v, ok := values[key]
	path, fromFile := values[key+fileSuffix]
	delete(values, key)
	delete(values, key+fileSuffix)
	switch {
	case ok && fromFile:
		return "", false, fmt.Errorf("is given twice, as itself and with the suffix %s; keep one", fileSuffix)
	case !fromFile:
		return v, ok, nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return "", false, fmt.Errorf("with the suffix %s: %w", fileSuffix, err)
	}
	if strings.TrimSpace(string(text)) == "" {
		// A secret that nobody has filled in yet, and no setting that is switched off.
		return "", false, fmt.Errorf("with the suffix %s: the file %s is empty; fill it, or leave the setting out", fileSuffix, path)
	}
	return strings.TrimRight(string(text), "\r\n"), true, nil
}

// quoted is where a YAML error repeats what stands in the file.
var quoted = regexp.MustCompile("`[^`]*`")

// withoutText hides what an error repeats of the file, since that may be a secret.
func withoutText(err error) error {
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, os.ErrPermission) {
		return err
	}
	return errors.New(quoted.ReplaceAllString(err.Error(), "…"))
}
