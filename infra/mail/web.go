package mail

import (
	"encoding/json"
	"html/template"
	"net/http"
	"slices"
	"strings"
)

const (
	// maxShown bounds the mails on one page, which a browser loads again and again.
	maxShown = 100
	// reloadSeconds is how often a browser loads the page again.
	reloadSeconds = 5
)

// ServeHTTP shows the kept mails, newest first: a JSON array, or for a browser, which
// asks for text/html, a page with the newest 100 that reloads by itself.
func (c *Catcher) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "caught mails can only be read", http.StatusMethodNotAllowed)
		return
	}
	mails := c.Messages()
	slices.Reverse(mails)
	w.Header().Set("Vary", "Accept")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if strings.Contains(r.Header.Get("Accept"), "text/html") {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
		page := struct {
			Count, Kept, Reload int
			Mails               []Caught
		}{c.Count(), len(mails), reloadSeconds, mails[:min(len(mails), maxShown)]}
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
<meta name="viewport" content="width=device-width">
<meta http-equiv="refresh" content="{{.Reload}}">
<title>Caught mail ({{.Count}})</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; max-width: 50rem; margin: 2rem auto; padding: 0 1rem; color-scheme: light dark }
article { border: 1px solid #8884; border-radius: .5rem; padding: .75rem 1rem; margin: 1rem 0 }
h2 { font-size: 1.1rem; margin: 0; display: flex; justify-content: space-between; gap: 1rem; overflow-wrap: anywhere }
time, small { font-weight: normal; font-size: .85rem; opacity: .7; overflow-wrap: anywhere }
time { white-space: nowrap }
pre { font: inherit; white-space: pre-wrap; overflow-wrap: anywhere; margin: .5rem 0 0 }
</style>
<h1>Caught mail</h1>
<p>{{.Count}} caught and none delivered.{{if lt (len .Mails) .Kept}} The newest {{len .Mails}} are shown; JSON has {{.Kept}}.{{end}} <a href="">Reload</a> <a href="/">Home</a></p>
{{range .Mails}}<article>
<h2>{{or .Subject "(no subject)"}} <time datetime="{{.At.Format "2006-01-02T15:04:05Z07:00"}}">{{.At.Format "2006-01-02 15:04:05"}} UTC</time></h2>
<small>to {{.To}} from {{or .From "(nobody)"}}{{with .ID}}, id {{.}}{{end}}</small>
<pre>{{.Text}}</pre>
</article>
{{else}}<p>None yet: this page shows them as they come.</p>
{{end}}</html>
`))
}
