package cli

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/pitwheel/pitwheel/router"
)

// tune takes one setting of a handler over.
type tune func(*router.Overrides, string) error

// tunable are the settings of the section "handlers". Their bounds are checked
// by the router, which knows the declaration as well.
func tunable() map[string]tune {
	return map[string]tune{
		"concurrency": tuneInt(func(t *router.Overrides, v *int) { t.Concurrency = v }),
		"attempts":    tuneInt(func(t *router.Overrides, v *int) { t.Attempts = v }),
		"timeout":     tuneDuration(func(t *router.Overrides, v *time.Duration) { t.Timeout = v }),
		"backoff":     tuneDuration(func(t *router.Overrides, v *time.Duration) { t.Backoff = v }),
		"max_backoff": tuneDuration(func(t *router.Overrides, v *time.Duration) { t.MaxBackoff = v }),
		"break_after": tuneInt(func(t *router.Overrides, v *int) { t.BreakAfter = v }),
		"break_pause": tuneDuration(func(t *router.Overrides, v *time.Duration) { t.BreakPause = v }),
		"rate": func(t *router.Overrides, text string) error {
			v, err := strconv.ParseFloat(text, 64)
			if err != nil {
				return fmt.Errorf("is %q; it must be a number of messages a second", text)
			}
			t.Rate = &v
			return nil
		},
		"paused": func(t *router.Overrides, text string) error {
			v, err := strconv.ParseBool(text)
			if err != nil {
				return fmt.Errorf("is %q; it must be true or false", text)
			}
			t.Paused = &v
			return nil
		},
	}
}

// tuningOf reads the section "handlers" of the configuration file.
func tuningOf(section any, handlers []string) (map[string]router.Overrides, []error) {
	if section == nil {
		return nil, nil
	}
	byName, ok := section.(map[string]any)
	if !ok {
		return nil, []error{fmt.Errorf("%s must hold one entry a handler, such as %s: {concurrency: 64}", handlersKey, nearest("", handlers))}
	}
	var errs []error
	out := map[string]router.Overrides{}
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		if !slices.Contains(handlers, name) {
			errs = append(errs, fmt.Errorf("%s.%s: no handler has that name; the nearest is %q", handlersKey, name, nearest(name, handlers)))
			continue
		}
		t, bad := handlerTuning(name, byName[name])
		errs = append(errs, bad...)
		out[name] = t
	}
	return out, errs
}

func handlerTuning(name string, section any) (router.Overrides, []error) {
	var t router.Overrides
	if section == nil {
		return t, nil
	}
	values, ok := section.(map[string]any)
	if !ok {
		return t, []error{fmt.Errorf("%s.%s must hold settings, such as {concurrency: 64}", handlersKey, name)}
	}
	settings := tunable()
	var errs []error
	for _, key := range slices.Sorted(maps.Keys(values)) {
		set, ok := settings[key]
		if !ok {
			errs = append(errs, fmt.Errorf("%s.%s.%s is no setting; the nearest is %q", handlersKey, name, key, nearest(key, slices.Collect(maps.Keys(settings)))))
			continue
		}
		if err := set(&t, fmt.Sprint(values[key])); err != nil {
			errs = append(errs, fmt.Errorf("%s.%s.%s %w", handlersKey, name, key, err))
		}
	}
	return t, errs
}

func tuneInt(into func(*router.Overrides, *int)) tune {
	return func(t *router.Overrides, text string) error {
		v, err := strconv.Atoi(text)
		if err != nil {
			return fmt.Errorf("is %q; it must be a whole number", text)
		}
		into(t, &v)
		return nil
	}
}

func tuneDuration(into func(*router.Overrides, *time.Duration)) tune {
	return func(t *router.Overrides, text string) error {
		v, err := time.ParseDuration(text)
		if err != nil {
			return fmt.Errorf("is %q; it must be a duration with its unit, such as 10s", text)
		}
		into(t, &v)
		return nil
	}
}
