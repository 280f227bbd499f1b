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
// by the router, which knows the declaration as well.
func overridable() map[string]override {
	return map[string]override{
		"concurrency": overrideInt(func(o *router.Overrides, v *int) { o.Concurrency = v }),
		"attempts":    overrideInt(func(o *router.Overrides, v *int) { o.Attempts = v }),
		"timeout":     overrideDuration(func(o *router.Overrides, v *time.Duration) { o.Timeout = v }),
		"backoff":     overrideDuration(func(o *router.Overrides, v *time.Duration) { o.Backoff = v }),
		"max_backoff": overrideDuration(func(o *router.Overrides, v *time.Duration) { o.MaxBackoff = v }),
		"break_after": overrideInt(func(o *router.Overrides, v *int) { o.BreakAfter = v }),
		"break_pause": overrideDuration(func(o *router.Overrides, v *time.Duration) { o.BreakPause = v }),
		"rate": func(o *router.Overrides, text string) error {
			v, err := strconv.ParseFloat(text, 64)
			if err != nil {
				return fmt.Errorf("is %q; it must be a number of messages a second", text)
			}
			o.Rate = &v
			return nil
		},
		"paused": func(o *router.Overrides, text string) error {
			v, err := strconv.ParseBool(text)
			if err != nil {
				return fmt.Errorf("is %q; it must be true or false", text)
			}
			o.Paused = &v
			return nil
		},
	}
}

// overridesOf reads the section "handlers" of the configuration file.
func overridesOf(section any, handlers []string) (map[string]router.Overrides, []error) {
	if section == nil {
		return nil, nil
	}
	byName, ok := section.(map[string]any)
	if !ok {
		return nil, []error{fmt.Errorf("%s must hold one entry a handler, such as %s: {concurrency: 64}", handlersKey, Nearest("", handlers))}
	}
	var errs []error
	out := map[string]router.Overrides{}
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		if !slices.Contains(handlers, name) {
			errs = append(errs, fmt.Errorf("%s.%s: no handler has that name; the nearest is %q", handlersKey, name, Nearest(name, handlers)))
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
			errs = append(errs, fmt.Errorf("%s.%s.%s is not a setting; the nearest is %q", handlersKey, name, key, Nearest(key, slices.Collect(maps.Keys(settings)))))
			continue
		}
		if err := set(&t, fmt.Sprint(values[key])); err != nil {
			errs = append(errs, fmt.Errorf("%s.%s.%s %w", handlersKey, name, key, err))
		}
	}
	return t, errs
}

func overrideInt(into func(*router.Overrides, *int)) override {
	return func(o *router.Overrides, text string) error {
		v, err := strconv.Atoi(text)
		if err != nil {
			return fmt.Errorf("is %q; it must be a whole number", text)
		}
		into(o, &v)
		return nil
	}
}

func overrideDuration(into func(*router.Overrides, *time.Duration)) override {
	return func(o *router.Overrides, text string) error {
		v, err := time.ParseDuration(text)
		if err != nil {
			return fmt.Errorf("is %q; it must be a duration with its unit, such as 10s", text)
		}
		into(o, &v)
		return nil
	}
}
