package settings

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/pitwheel/pitwheel/router"
)

// override applies one setting of a handler.
type override func(*router.Overrides, string) error

// overridable returns the settings of the section "handlers". Their bounds are checked
// by the router, which has the declaration as well.
func overridable() map[string]override {
	number := func(field func(*router.Overrides) **int) override {
		return parsed(field, strconv.Atoi, "a whole number")
	}
	duration := func(field func(*router.Overrides) **time.Duration) override {
		return parsed(field, ParseDuration, "a duration with its unit, such as 10s")
	}
	return map[string]override{
		"concurrency": number(func(o *router.Overrides) **int { return &o.Concurrency }),
		"attempts":    number(func(o *router.Overrides) **int { return &o.Attempts }),
		"timeout":     duration(func(o *router.Overrides) **time.Duration { return &o.Timeout }),
		"backoff":     duration(func(o *router.Overrides) **time.Duration { return &o.Backoff }),
		"max_backoff": duration(func(o *router.Overrides) **time.Duration { return &o.MaxBackoff }),
		"break_after": number(func(o *router.Overrides) **int { return &o.BreakAfter }),
		"break_pause": duration(func(o *router.Overrides) **time.Duration { return &o.BreakPause }),
		"rate": parsed(func(o *router.Overrides) **float64 { return &o.Rate },
			func(text string) (float64, error) { return strconv.ParseFloat(text, 64) }, "a number of messages a second"),
		"paused": parsed(func(o *router.Overrides) **bool { return &o.Paused }, strconv.ParseBool, "true or false"),
	}
}

// parsed returns an override that parses a text, which must be as it says, into a field.
func parsed[T any](field func(*router.Overrides) **T, parse func(string) (T, error), must string) override {
	return func(o *router.Overrides, text string) error {
		v, err := parse(text)
		if err != nil {
			return fmt.Errorf("is %q; it must be %s", text, must)
		}
		*field(o) = &v
		return nil
	}
}

// overridesOf reads the section "handlers" of the configuration file.
func overridesOf(section any, handlers []string) (map[string]router.Overrides, []error) {
	if section == nil {
		return nil, nil
	}
	byName, ok := section.(map[string]any)
	if !ok {
		return nil, []error{fmt.Errorf("%s must hold one entry for each handler, such as NAME: {concurrency: 64}", handlersKey)}
	}
	var errs []error
	out := map[string]router.Overrides{}
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		if !slices.Contains(handlers, name) {
			errs = append(errs, fmt.Errorf("%s.%s: no handler has that name%s", handlersKey, name, Suggest(name, handlers)))
			continue
		}
		t, bad := handlerOverrides(name, byName[name])
		errs = append(errs, bad...)
		out[name] = t
	}
	return out, errs
}

func handlerOverrides(name string, section any) (router.Overrides, []error) {
	var t router.Overrides
	if section == nil {
		return t, nil
	}
	values, ok := section.(map[string]any)
	if !ok {
		return t, []error{fmt.Errorf("%s.%s must hold settings, such as {concurrency: 64}", handlersKey, name)}
	}
	settings := overridable()
	var errs []error
	for _, key := range slices.Sorted(maps.Keys(values)) {
		set, ok := settings[key]
		if !ok {
			errs = append(errs, fmt.Errorf("%s.%s.%s is not a setting of a handler%s", handlersKey, name, key, Suggest(key, slices.Sorted(maps.Keys(settings)))))
			continue
		}
		if err := set(&t, fmt.Sprint(values[key])); err != nil {
			errs = append(errs, fmt.Errorf("%s.%s.%s %w", handlersKey, name, key, err))
		}
	}
	return t, errs
}
