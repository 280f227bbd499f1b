package mail

import (
	"encoding/json"
	"html/template"
	"net/http"
	"slices"
	"strings"
)

// ServeHTTP shows the kept mails, newest first: a JSON array, or a page for a
// browser, which asks for text/html.
func (c *Catcher) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "caught mails can only be read", http.StatusMethodNotAllowed)
		return
	}
	mails := c.Messages()
	slices.Reverse(mails)
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if strings.Contains(r.Header.Get("Accept"), "text/html") {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
		page := struct {
			Count int
			Mails []Caught
		}{c.Count(), mails}
		if err := inbox().Execute(w, page); err != nil {
			c.logger.Debug("the page of caught mails could not be written", "error", err)
		}
		return
	}
	if mails == nil {
		mails = []Caught{} // An empty array, not null.
	}
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(mails); err != nil {
		c.logger.Debug("the list of caught mails could not be written", "error", err)
	}
}

func inbox() *template.Template {
	return template.Must(template.New("inbox").Parse(`<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Caught mail</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; max-width: 50rem; margin: 2rem auto; padding: 0 1rem; color-scheme: light dark }
details { border-top: 1px solid #8884; padding: .5rem 0 }
time, small { opacity: .7 }
pre { white-space: pre-wrap }
</style>
<h1>Caught mail</h1>
<p>{{.Count}} caught, {{len .Mails}} kept, newest first.</p>
{{range .Mails}}<details>
<summary><strong>{{.Subject}}</strong> to {{.To}} <time>{{.At.Format "2006-01-02 15:04:05"}} UTC</time></summary>
<p><small>from {{.From}}, id {{.ID}}</small></p>
<pre>{{.Text}}</pre>
</details>
{{else}}<p>None yet.</p>
{{end}}</html>
`))
}
