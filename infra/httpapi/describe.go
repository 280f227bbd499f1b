package httpapi

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/events/json"
)

// commandInfo describes a type of commands.
type commandInfo struct {
	Type      string      `json:"type"`
	Aggregate string      `json:"aggregate"`
	Fields    []fieldInfo `json:"fields"`
	// Example is a command line that sends one.
	Example string `json:"example"`
}

// fieldInfo describes a field of a command's data. Type is that of JSON.
type fieldInfo struct {
	Name     string `json:"name"`
	Type     string `json:"type"`
	Required bool   `json:"required"`
	Doc      string `json:"doc,omitempty"`
}

// commandTypes is GET /v1/commands.
func (a *api) commandTypes(w http.ResponseWriter, r *http.Request) error {
	if err := checkQuery(r); err != nil {
		return err
	}
	all := []commandInfo{}
	for _, name := range a.Catalogue.Commands() {
		info, err := a.describe(r, name)
		if err != nil {
			return err
		}
		all = append(all, info)
	}
	a.respond(w, r, http.StatusOK, map[string][]commandInfo{"commands": all})
	return nil
}

// commandType is GET /v1/commands/{type}.
func (a *api) commandType(w http.ResponseWriter, r *http.Request) error {
	if err := checkQuery(r); err != nil {
		return err
	}
	info, err := a.describe(r, r.PathValue("type"))
	if err != nil {
		return err
	}
	a.respond(w, r, http.StatusOK, info)
	return nil
}

// describe returns what a command type is. The address in its example is the one that the
// client has used.
func (a *api) describe(r *http.Request, name string) (commandInfo, error) {
	t, ok := a.Catalogue.Lookup(name)
	if !ok || !t.Command {
		return commandInfo{}, events.Errorf(events.CodeUnknownType, "there is no command %.64q", name).
			WithHint("known commands: %s; GET /v1/commands describes them", strings.Join(a.Catalogue.Commands(), ", "))
	}
	info := commandInfo{Type: t.Name, Aggregate: t.Aggregate, Fields: []fieldInfo{}}
	for _, f := range t.Fields() {
		info.Fields = append(info.Fields, fieldInfo{f.Name, f.Kind, f.Required, f.Doc})
	}
	data, err := a.example(t)
	if err != nil {
		return commandInfo{}, err
	}
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	to := url.URL{Scheme: scheme, Host: r.Host, Path: "/v1/commands/" + t.Name, RawQuery: "wait=5s"}
	info.Example = fmt.Sprintf("curl -d %s %s", quoted(data), quoted(to.String()))
	return info, nil
}

// example returns data of a type: those of the configured example, or else the required
// fields with placeholders.
func (a *api) example(t *events.Type) (string, error) {
	if a.Example != nil && a.Example.CommandType() == t.Name {
		data, err := json.MarshalReadable(a.Example)
		return string(data), err
	}
	var fields []string
	for _, f := range t.Fields() {
		if !f.Required {
			continue
		}
		name, err := json.MarshalReadable(f.Name)
		if err != nil {
			return "", err
		}
		value, err := json.MarshalReadable(placeholder(f))
		if err != nil {
			return "", err
		}
		fields = append(fields, string(name)+":"+string(value))
	}
	return "{" + strings.Join(fields, ",") + "}", nil
}

// placeholder returns a value of the field's kind. That of a string says what belongs
// there.
func placeholder(f events.Field) any {
	switch f.Kind {
	case "number":
		return 1
	case "boolean":
		return true
	case "array":
		return []any{}
	case "object":
		return map[string]any{}
	}
	return "<" + f.Name + ">"
}

// quoted returns a text as one word of a shell.
func quoted(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
