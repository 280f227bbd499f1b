package deploy_test

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

const compose = "../../docker-compose.yml"

// contract returns the metrics that dashboards and alerts may use, and the names that
// histograms have there.
func contract() map[string]bool {
	names := map[string]bool{}
	for _, counterOrGauge := range []string{
		"subscriber_messages_received_total", "pitwheel_handler_messages_total", "pitwheel_handler_in_flight",
		"pitwheel_handler_paused", "pitwheel_commands_total", "pitwheel_append_conflicts_total",
		"pitwheel_relay_lag_events", "pitwheel_projection_lag_events", "pitwheel_broker_connected",
		"pitwheel_broker_reconnects_total", "pitwheel_build_info",
		"pitwheel_broker_blocked", "pitwheel_poison_messages", "pitwheel_handler_breaker_open",
		"pitwheel_handler_blocked_keys", "pitwheel_handler_parked_messages", "pitwheel_handler_rate_limit", "pitwheel_orphaned_messages",
		"pitwheel_ledger_unsettled", "pitwheel_ledger_missing", "pitwheel_ledger_oldest_seconds", "pitwheel_ledger_healed_total",
		"pitwheel_log_rolled_back",
	} {
		names[counterOrGauge] = true
	}
	for _, histogram := range []string{
		"handler_execution_time_seconds", "publish_time_seconds", "pitwheel_handler_attempt_seconds",
		"pitwheel_message_age_seconds", "pitwheel_append_seconds",
	} {
		names[histogram+"_bucket"], names[histogram+"_count"], names[histogram+"_sum"] = true, true, true
	}
	return names
}

type panel struct {
	ID          int
	Type        string
	Title       string
	Description string
	GridPos     struct{ X, Y, W, H int }
	FieldConfig struct{ Defaults struct{ Unit string } }
	Targets     []struct{ Expr, LegendFormat string }
}

func panels(t *testing.T) []panel {
	t.Helper()
	raw, err := os.ReadFile("grafana/dashboards/pitwheel.json")
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		UID    string
		Title  string
		Panels []panel
	}
	if err := json.Unmarshal(raw, &dashboard); err != nil {
		t.Fatal(err)
	}
	if dashboard.UID == "" || dashboard.Title == "" || len(dashboard.Panels) == 0 {
		t.Fatalf("the dashboard is empty: %+v", dashboard)
	}
	return dashboard.Panels
}

func TestDashboard_Metrics(t *testing.T) {
	t.Parallel()
	names, unused := contract(), contract()
	for _, p := range panels(t) {
		for _, target := range p.Targets {
			for _, word := range metricsOf(target.Expr) {
				if !names[word] {
					t.Errorf("%q: %q is not a metric of the contract: %s", p.Title, word, target.Expr)
				}
				delete(unused, word)
			}
		}
	}
	for name := range unused {
		// One of a histogram's three is enough.
		base := strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(name, "_bucket"), "_count"), "_sum")
		if base != name && !(unused[base+"_bucket"] && unused[base+"_count"]) {
			continue
		}
		t.Errorf("no panel shows %s", name)
	}
}

// metricsOf returns the names in an expression that are not words of PromQL.
func metricsOf(expr string) []string {
	selectors := regexp.MustCompile(`\{[^}]*\}|\[[^\]]*\]|\b(by|without) \([^)]*\)`)
	words := regexp.MustCompile(`[a-zA-Z_][a-zA-Z0-9_]*`)
	language := []string{"histogram_quantile", "sum", "rate", "increase", "max", "min", "count", "or", "unless", "vector"}
	return slices.DeleteFunc(words.FindAllString(selectors.ReplaceAllString(expr, " "), -1), func(w string) bool { return slices.Contains(language, w) })
}

func TestAlerts(t *testing.T) {
	t.Parallel()
	var file struct {
		Groups []struct {
			Rules []struct {
				Alert, Expr, For    string
				Labels, Annotations map[string]string
			}
		}
	}
	read(t, "alerts.yml", &file)
	names := contract()
	names["up"] = true // Prometheus's own.
	alerts, about := map[string]bool{}, map[string]bool{}
	for _, g := range file.Groups {
		for _, r := range g.Rules {
			if r.Alert == "" || alerts[r.Alert] || r.Labels["severity"] == "" || r.Annotations["summary"] == "" || r.Annotations["description"] == "" {
				t.Errorf("the rule %+v has no name of its own, severity, summary or description", r)
			}
			alerts[r.Alert] = true
			if _, err := time.ParseDuration(r.For); r.For != "" && err != nil {
				t.Errorf("%s: %v", r.Alert, err)
			}
			for _, m := range metricsOf(r.Expr) {
				if about[m] = true; !names[m] {
					t.Errorf("%s: %q is not a metric of the contract", r.Alert, m)
				}
			}
			// A label that the expression drops would be empty in the text.
			for _, label := range regexp.MustCompile(`\$labels\.(\w+)`).FindAllStringSubmatch(r.Annotations["summary"]+r.Annotations["description"], -1) {
				if !strings.Contains(r.Expr, "by ("+label[1]+")") && strings.Contains(r.Expr, "(") {
					t.Errorf("%s: the expression has no label %s", r.Alert, label[1])
				}
			}
		}
	}
	for _, want := range []string{"pitwheel_poison_messages", "pitwheel_handler_breaker_open", "pitwheel_handler_paused", "pitwheel_handler_blocked_keys", "pitwheel_broker_connected", "pitwheel_broker_blocked",
		"pitwheel_ledger_missing", "pitwheel_ledger_oldest_seconds", "pitwheel_ledger_unsettled", "pitwheel_ledger_healed_total", "pitwheel_orphaned_messages", "pitwheel_log_rolled_back"} {
		if !about[want] {
			t.Errorf("no alert uses %s", want)
		}
	}
}

func TestDashboard_Panels(t *testing.T) {
	t.Parallel()
	ids := map[int]bool{}
	taken := map[[2]int]string{}
	for _, p := range panels(t) {
		if p.ID == 0 || ids[p.ID] || p.Title == "" {
			t.Errorf("panel %d %q has no id or title of its own", p.ID, p.Title)
		}
		ids[p.ID] = true
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other, ok := taken[[2]int{x, y}]; ok {
					t.Fatalf("%q lies on %q", p.Title, other)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
		if p.Type == "row" {
			continue
		}
		if p.Description == "" || p.FieldConfig.Defaults.Unit == "" || len(p.Targets) == 0 || p.GridPos.X+p.GridPos.W > 24 {
			t.Errorf("panel %q has no description, unit or expression, or is too wide", p.Title)
		}
		for _, target := range p.Targets {
			if target.LegendFormat == "" {
				t.Errorf("panel %q: %s has no legend", p.Title, target.Expr)
			}
		}
	}
}

type service struct {
	Image       string
	Ports       []string
	Volumes     []string
	Environment map[string]string
	HealthCheck struct{ Test []string }
}

func TestCompose_Services(t *testing.T) {
	t.Parallel()
	var c struct {
		Services map[string]service
		Volumes  map[string]any
	}
	read(t, compose, &c)
	want := []string{"grafana", "mailpit", "pitwheel", "prometheus", "rabbitmq", "redis"}
	if got := slices.Sorted(maps.Keys(c.Services)); !slices.Equal(got, want) {
		t.Errorf("services are %v, want %v", got, want)
	}
	pinned := regexp.MustCompile(`:v?\d+\.\d+\.\d+`)
	for name, s := range c.Services {
		if len(s.HealthCheck.Test) < 2 {
			t.Errorf("%s has no health check", name)
		}
		if name != "pitwheel" && !pinned.MatchString(s.Image) {
			t.Errorf("%s: the image %q is not pinned", name, s.Image)
		}
		for _, p := range s.Ports {
			if !strings.HasPrefix(p, "127.0.0.1:") {
				t.Errorf("%s: the port %s is open to the network", name, p)
			}
		}
		for _, v := range s.Volumes {
			from, _, _ := strings.Cut(v, ":")
			if !strings.HasPrefix(from, ".") {
				if _, ok := c.Volumes[from]; !ok {
					t.Errorf("%s: the volume %s is not declared", name, from)
				}
				continue
			}
			if _, err := os.Stat(filepath.Join(filepath.Dir(compose), from)); err != nil {
				t.Errorf("%s mounts what is not there: %v", name, err)
			}
		}
	}
	for _, key := range []string{"PITWHEEL_AMQP_URL", "PITWHEEL_REDIS_URL", "PITWHEEL_SMTP_URL", "PITWHEEL_HTTP_ADDR"} {
		if c.Services["pitwheel"].Environment[key] == "" {
			t.Errorf("the application is not given %s", key)
		}
	}
}

func TestCompose_Addresses(t *testing.T) {
	t.Parallel()
	var prometheus struct {
		RuleFiles     []string `yaml:"rule_files"`
		ScrapeConfigs []struct {
			JobName       string                       `yaml:"job_name"`
			StaticConfigs []struct{ Targets []string } `yaml:"static_configs"`
		} `yaml:"scrape_configs"`
	}
	read(t, "prometheus.yml", &prometheus)
	var jobs []string
	for _, s := range prometheus.ScrapeConfigs {
		for _, c := range s.StaticConfigs {
			jobs = append(jobs, c.Targets...)
		}
	}
	if want := []string{"pitwheel:8080", "rabbitmq:15692"}; !slices.Equal(jobs, want) {
		t.Errorf("Prometheus scrapes %v, want %v", jobs, want)
	}
	mount, err := os.ReadFile(compose)
	if err != nil {
		t.Fatal(err)
	}
	if len(prometheus.RuleFiles) != 1 || !strings.Contains(string(mount), "./infra/deploy/alerts.yml:"+prometheus.RuleFiles[0]+":ro") {
		t.Errorf("Prometheus looks for its rules at %v, where none are mounted", prometheus.RuleFiles)
	}
	var sources struct {
		Datasources []struct{ UID, URL string }
	}
	read(t, "grafana/provisioning/datasources/prometheus.yml", &sources)
	if len(sources.Datasources) != 1 || sources.Datasources[0].UID != "prometheus" || sources.Datasources[0].URL != "http://prometheus:9090" {
		t.Errorf("Grafana reads from %+v", sources)
	}
	var dashboards struct {
		Providers []struct{ Options struct{ Path string } }
	}
	read(t, "grafana/provisioning/dashboards/pitwheel.yml", &dashboards)
	if len(dashboards.Providers) != 1 || !strings.Contains(string(mount), "dashboards:"+dashboards.Providers[0].Options.Path+":ro") {
		t.Errorf("Grafana looks for dashboards at %+v, where none is mounted", dashboards)
	}
}

func read(t *testing.T, path string, into any) {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(raw, into); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}
