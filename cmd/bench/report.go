package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"text/tabwriter"
)

// result is one line of the table. A missing value is null.
type result struct {
	Name       string             `json:"name"`
	Work       string             `json:"work"`
	Unit       string             `json:"unit"`
	Limit      *float64           `json:"limit"`
	Plain      *float64           `json:"plain"`
	Pitwheel   *float64           `json:"pitwheel"`
	RatioLimit *float64           `json:"ratio_limit"`
	RatioPlain *float64           `json:"ratio_plain"`
	Goal       string             `json:"goal"`
	Met        *bool              `json:"met"`
	Variants   map[string]float64 `json:"variants,omitempty"`
	Pairs      int                `json:"pairs"`
	Seconds    *float64           `json:"seconds"`
	Skipped    string             `json:"skipped,omitempty"`
	Error      string             `json:"error,omitempty"`
}

// number converts a figure for JSON, which has no NaN.
func number(v float64) *float64 {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return nil
	}
	v = round(v)
	return &v
}

// round keeps four digits, and all of those before the point.
func round(v float64) float64 {
	if v == 0 || math.Abs(v) >= 1000 {
		return math.Round(v)
	}
	scale := math.Pow(10, 3-math.Floor(math.Log10(math.Abs(v))))
	return math.Round(v*scale) / scale
}

// judge sets the goal and, if Pitwheel ran, whether it is met.
func (r *result) judge(f figure) {
	var texts []string
	met, known := true, len(f.goals) > 0
	for _, g := range f.goals {
		texts = append(texts, g.text(f.least))
		value := map[role]*float64{limit: r.RatioLimit, plain: r.RatioPlain, "": r.Pitwheel}[g.of]
		switch {
		case value == nil:
			known = false
		case f.least:
			met = met && *value <= g.bound
		default:
			met = met && *value >= g.bound
		}
	}
	r.Goal = strings.Join(texts, ", ")
	if known {
		r.Met = &met
	}
}

// without is the result of a figure that was not measured.
func without(f figure) result {
	r := result{Name: f.name, Work: f.work, Unit: f.unit}
	r.judge(f)
	return r
}

func printJSON(w io.Writer, results []result) error {
	if results == nil {
		results = []result{}
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(results)
}

func printTable(w io.Writer, results []result) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(tw, "ROW\tUNIT\tLIMIT\tPLAIN\tPITWHEEL\t× LIMIT\t× PLAIN\tGOAL\tMET") // Flush has the error.
	for _, r := range results {
		line := []string{r.Name, r.Unit, cell(r.Limit), cell(r.Plain), cell(r.Pitwheel), cell(r.RatioLimit), cell(r.RatioPlain), r.Goal, met(r)}
		_, _ = fmt.Fprintln(tw, strings.Join(line, "\t"))
	}
	return tw.Flush()
}

func met(r result) string {
	switch {
	case r.Skipped != "":
		return "skipped: " + r.Skipped
	case r.Error != "":
		return "failed: " + r.Error
	case r.Met == nil:
		return "–"
	case *r.Met:
		return "yes"
	}
	return "no"
}

func cell(v *float64) string {
	if v == nil {
		return "–"
	}
	return thousands(*v)
}

// thousands writes large numbers in groups of three and small ones with digits
// after the point.
func thousands(v float64) string {
	if math.Abs(v) < 100 {
		return strconv.FormatFloat(round(v), 'f', -1, 64)
	}
	digits := strconv.FormatFloat(math.Round(v), 'f', 0, 64)
	sign := ""
	if digits[0] == '-' {
		sign, digits = "-", digits[1:]
	}
	var groups []string
	for len(digits) > 3 {
		groups = append([]string{digits[len(digits)-3:]}, groups...)
		digits = digits[:len(digits)-3]
	}
	return sign + strings.Join(append([]string{digits}, groups...), ",")
}
