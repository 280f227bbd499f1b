package deploy_test

import (
	"os"
	"regexp"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pitwheel/pitwheel/infra/telemetry"
	"github.com/pitwheel/pitwheel/router"
)

// listing is a registerer that remembers the names of what it is given.
type listing map[string]bool

func (l listing) Register(c prometheus.Collector) error {
	descs := make(chan *prometheus.Desc)
	go func() {
		defer close(descs)
		c.Describe(descs)
	}()
	for d := range descs {
		l[regexp.MustCompile(`fqName: "([^"]+)"`).FindStringSubmatch(d.String())[1]] = true
	}
	return nil
}

func (l listing) MustRegister(cs ...prometheus.Collector) {
	for _, c := range cs {
		_ = l.Register(c)
	}
}

func (listing) Unregister(prometheus.Collector) bool { return false }

// TestDashboard_Complete keeps dashboard and alerts in step with what there is.
func TestDashboard_Complete(t *testing.T) {
	t.Parallel()
	names := listing{"pitwheel_build_info": true} // It is part of the registry itself.
	if _, err := router.NewMetrics(names); err != nil {
		t.Fatal(err)
	}
	telemetry.BrokerState(names, "x")
	telemetry.BrokerBlocked(names, "x")
	read := func(file string) []string {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return regexp.MustCompile(`\b(pitwheel|handler|publish|subscriber)_[a-z_]+\b`).FindAllString(string(text), -1)
	}
	ours := regexp.MustCompile(`^pitwheel_`)
	histogram := regexp.MustCompile(`_(bucket|count|sum)$`)
	shown := map[string]bool{}
	for _, file := range []string{"grafana/dashboards/pitwheel.json", "alerts.yml"} {
		for _, name := range read(file) {
			name = histogram.ReplaceAllString(name, "")
			if shown[name] = true; ours.MatchString(name) && !names[name] {
				t.Errorf("%s shows %s, which is not measured", file, name)
			}
		}
	}
	for name := range names {
		if !shown[name] {
			t.Errorf("no panel shows %s", name)
		}
	}
}
