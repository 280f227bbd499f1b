package httpapi

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/pitwheel/pitwheel/events"
)

// How many rows one list holds. A limit above maxRows gives maxRows.
const (
	defaultRows = 100
	maxRows     = 1000
)

// projectionNames is GET /v1/projections.
func (a *api) projectionNames(w http.ResponseWriter, r *http.Request) error {
	if err := checkQuery(r); err != nil {
		return err
	}
	type info struct {
		Name string `json:"name"`
		Rows string `json:"rows"` // the path of its rows
	}
	all := []info{}
	for _, name := range a.Names {
		all = append(all, info{name, "/v1/projections/" + name})
	}
	a.respond(w, r, http.StatusOK, map[string][]info{"projections": all})
	return nil
}

// row is GET /v1/projections/{name}/{key}.
func (a *api) row(w http.ResponseWriter, r *http.Request) error {
	if err := checkQuery(r); err != nil {
		return err
	}
	name, err := a.projection(r)
	if err != nil {
		return err
	}
	key := r.PathValue("key")
	rows, err := a.Projections.Rows(r.Context(), name, []string{key})
	switch {
	case err != nil:
		return err
	case len(rows) == 0 || rows[0] == nil:
		return events.Errorf(events.CodeNotFound, "the projection %s has no row %.128q", name, key).
			WithHint("a projection follows the log with a short delay; ask again if the row has just been made").MayRetry()
	}
	a.respondRaw(w, r, http.StatusOK, append(rows[0], '\n'))
	return nil
}

// rows is GET /v1/projections/{name}.
func (a *api) rows(w http.ResponseWriter, r *http.Request) error {
	if err := checkQuery(r, "limit", "after"); err != nil {
		return err
	}
	name, err := a.projection(r)
	if err != nil {
		return err
	}
	limit, err := limitOf(r)
	if err != nil {
		return err
	}
	// One more row than requested shows whether there is a next page.
	rows, err := a.Projections.List(r.Context(), name, r.URL.Query().Get("after"), limit+1)
	if err != nil {
		return err
	}
	page := struct {
		Rows []json.RawMessage `json:"rows"`
		Next *string           `json:"next"` // null on the last page
	}{Rows: []json.RawMessage{}}
	if len(rows) > limit {
		rows = rows[:limit]
		page.Next = &rows[limit-1].Key
	}
	for _, row := range rows {
		page.Rows = append(page.Rows, row.Data)
	}
	a.respond(w, r, http.StatusOK, page)
	return nil
}

func (a *api) projection(r *http.Request) (string, error) {
	name := r.PathValue("name")
	if _, known := slices.BinarySearch(a.Names, name); !known {
		err := events.Errorf(events.CodeNotFound, "there is no projection %.64q", name)
		if len(a.Names) == 0 {
			return "", err.WithHint("the application %s has none", a.Application)
		}
		return "", err.WithHint("known projections: %s", strings.Join(a.Names, ", "))
	}
	return name, nil
}

func limitOf(r *http.Request) (int, error) {
	given := r.URL.Query().Get("limit")
	if given == "" {
		return defaultRows, nil
	}
	n, err := strconv.Atoi(given)
	if err != nil || n < 1 {
		return 0, events.Errorf(events.CodeInvalid, "limit: %.40q is not a number of rows", given).WithField("limit").
			WithHint("1 to %d, by default %d", maxRows, defaultRows)
	}
	return min(n, maxRows), nil
}
