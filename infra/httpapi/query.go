package httpapi

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/pitwheel/pitwheel/events"
)

// checkQuery returns an error with the code INVALID for a query parameter that a route does
// not have: one that is misspelt must not be taken for one that is left out.
func checkQuery(r *http.Request, known ...string) error {
	if r.URL.RawQuery == "" {
		return nil
	}
	given, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return events.Errorf(events.CodeInvalid, "the query %.80q cannot be read: %w", r.URL.RawQuery, err)
	}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if slices.Contains(known, name) {
			continue
		}
		err := events.Errorf(events.CodeInvalid, "%.40q is not a query parameter of %s", name, r.Pattern).WithField(name)
		if len(known) == 0 {
			return err.WithHint("it has none")
		}
		return err.WithHint("it has %s", strings.Join(known, ", "))
	}
	return nil
}
