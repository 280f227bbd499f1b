package telemetry

import (
	"errors"
	"runtime"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// NewRegistry returns a registry that measures the process itself. The metric
// pitwheel_build_info names the application and its build.
func NewRegistry(application, version, commit string) *prometheus.Registry {
	reg := prometheus.NewRegistry()
	info := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "pitwheel_build_info",
		Help: "Always 1; the labels identify the running program.",
	}, []string{"application", "version", "commit", "go_version"})
	info.WithLabelValues(application, version, commit, runtime.Version()).Set(1)
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), info)
	return reg
}

// BrokerState measures the connection with one broker, such as "rabbitmq" or
// "redis". The function that it returns must be called with every change; it is safe for
// concurrent use. The first connect is not a reconnect. Until it is called, the
// broker counts as not connected. BrokerState panics if another collector has
// taken one of its names.
func BrokerState(reg prometheus.Registerer, broker string) func(connected bool) {
	connected := register(reg, prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "pitwheel_broker_connected",
		Help: "1 while the broker is connected, else 0.",
	}, []string{"broker"})).WithLabelValues(broker)
	reconnects := register(reg, prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "pitwheel_broker_reconnects_total",
		Help: "How often a lost connection with the broker was made again.",
	}, []string{"broker"})).WithLabelValues(broker)

	var mu sync.Mutex
	var now, before bool
	return func(is bool) {
		mu.Lock()
		defer mu.Unlock()
		if is && !now && before {
			reconnects.Inc()
		}
		set(connected, is)
		now, before = is, before || is
	}
}

// BrokerBlocked measures whether a broker refuses what is published or written
// although it is connected. The function that it returns must be called with every
// change; it is safe for concurrent use. BrokerBlocked panics if another collector has taken its name.
func BrokerBlocked(reg prometheus.Registerer, broker string) func(blocked bool) {
	gauge := register(reg, prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "pitwheel_broker_blocked",
		Help: "1 while the broker takes nothing that is written, as when it is short of memory or disk, else 0.",
	}, []string{"broker"})).WithLabelValues(broker)
	return func(is bool) { set(gauge, is) }
}

func set(gauge prometheus.Gauge, is bool) {
	value := 0.0
	if is {
		value = 1
	}
	gauge.Set(value)
}

// register returns the collector that is registered already, if there is one: the
// brokers share their metrics.
func register[C prometheus.Collector](reg prometheus.Registerer, c C) C {
	err := reg.Register(c)
	var taken prometheus.AlreadyRegisteredError
	if errors.As(err, &taken) {
		if existing, ok := taken.ExistingCollector.(C); ok {
			return existing
		}
	}
	if err != nil {
		panic(err)
	}
	return c
}
