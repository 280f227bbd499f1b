package router

import (
	"errors"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/prometheus/client_golang/prometheus"
)

// Metrics are the Prometheus collectors of the router. Their names are part of the
// contract with dashboards; labels come from closed sets only.
type Metrics struct {
	execution *prometheus.HistogramVec
	publish   *prometheus.HistogramVec
	received  *prometheus.CounterVec
	messages  *prometheus.CounterVec
	inFlight  *prometheus.GaugeVec
	attempt   *prometheus.HistogramVec
	age       *prometheus.HistogramVec
	paused    *prometheus.GaugeVec
	breaker   *prometheus.GaugeVec
	rateLimit *prometheus.GaugeVec
	commands  *prometheus.CounterVec
	append    prometheus.Histogram
	conflicts prometheus.Counter
	relayLag  prometheus.Gauge
	lost      prometheus.Gauge
	viewLag   *prometheus.GaugeVec
	poison    *prometheus.GaugeVec
	parked    *prometheus.GaugeVec
	blocked   *prometheus.GaugeVec
	unsettled *prometheus.GaugeVec
	missing   *prometheus.GaugeVec
	oldest    *prometheus.GaugeVec
	healed    *prometheus.CounterVec
	orphaned  *prometheus.GaugeVec
}

// handlerMetrics are the collectors with the labels of one handler, looked up once.
type handlerMetrics struct {
	succeeded, failed                             prometheus.Observer
	acked, nacked                                 prometheus.Counter
	handled, duplicate, retried, poisoned, parked prometheus.Counter
	inFlight                                      prometheus.Gauge
	attempt, age                                  prometheus.Observer
}

// latencyBuckets cover 0.1 ms to 100 s: from an in-memory handler to a slow partner.
func latencyBuckets() []float64 { return prometheus.ExponentialBucketsRange(0.0001, 100, 19) }

// NewMetrics returns the collectors, registered with reg. With a nil reg they are not
// exported. [New] and [NewCommands] of one process share them.
func NewMetrics(reg prometheus.Registerer) (*Metrics, error) {
	if reg == nil {
		reg = prometheus.NewRegistry()
	}
	const handler = "handler_name"
	m := &Metrics{
		execution: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "handler_execution_time_seconds",
			Help: "Time a message spent in the pipeline, for each delivery.", Buckets: latencyBuckets()}, []string{handler, "success"}),
		publish: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "publish_time_seconds",
			Help: "Time until the broker confirmed a publish.", Buckets: latencyBuckets()}, []string{handler, "publisher_name", "success"}),
		received: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "subscriber_messages_received_total",
			Help: "Messages received, by whether they were acknowledged."}, []string{"subscriber_name", handler, "acked"}),
		messages: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "pitwheel_handler_messages_total",
			Help: "Messages by outcome; retried counts failed attempts that another one follows, parked those that have to wait behind another message of their key."}, []string{handler, "outcome"}),
		inFlight: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "pitwheel_handler_in_flight",
			Help: "Messages in the pipeline now."}, []string{handler}),
		attempt: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "pitwheel_handler_attempt_seconds",
			Help: "Time of one attempt.", Buckets: latencyBuckets()}, []string{handler}),
		age: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "pitwheel_message_age_seconds",
			Help: "From the event's own time to handled.", Buckets: prometheus.ExponentialBucketsRange(0.001, 86400, 19)}, []string{handler}),
		paused: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "pitwheel_handler_paused",
			Help: "1 while the handler is paused."}, []string{handler}),
		breaker: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "pitwheel_handler_breaker_open",
			Help: "1 while the handler's breaker is open and it gets no messages but probes."}, []string{handler}),
		rateLimit: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "pitwheel_handler_rate_limit",
			Help: "Messages a second that the handler may have; absent without a limit."}, []string{handler}),
		commands: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "pitwheel_commands_total",
			Help: "Commands decided, by result."}, []string{"command", "result"}),
		append: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "pitwheel_append_seconds",
			Help: "Time of one append to the log.", Buckets: latencyBuckets()}),
		conflicts: prometheus.NewCounter(prometheus.CounterOpts{Name: "pitwheel_append_conflicts_total",
			Help: "Appends refused because the aggregate had moved on; the command was decided again."}),
		relayLag: prometheus.NewGauge(prometheus.GaugeOpts{Name: "pitwheel_relay_lag_events",
			Help: "Events in the log that the relay has not published yet."}),
		lost: prometheus.NewGauge(prometheus.GaugeOpts{Name: "pitwheel_log_rolled_back",
			Help: "Events that are gone from the log, as its store was put back, until that is accepted; every instance shows all of them."}),
		viewLag: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "pitwheel_projection_lag_events",
			Help: "Events in the log that the projection has not applied yet."}, []string{"projection"}),
		poison: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "pitwheel_poison_messages",
			Help: "Poison messages in the store; every instance shows all of them."}, []string{handler}),
		parked: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "pitwheel_handler_parked_messages",
			Help: "Messages that wait behind a failed one of their key, for handlers that ask for order."}, []string{handler}),
		blocked: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "pitwheel_handler_blocked_keys",
			Help: "Keys with a failed message that others have to wait behind, for handlers that ask for order."}, []string{handler}),
		unsettled: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "pitwheel_ledger_unsettled",
			Help: "Events that the handler has neither handled nor discarded, wherever they are; absent while nobody audits."}, []string{handler}),
		missing: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "pitwheel_ledger_missing",
			Help: "Events of the handler that are nowhere, and are going to be delivered again; absent while nobody audits."}, []string{handler}),
		oldest: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "pitwheel_ledger_oldest_seconds",
			Help: "Age of the oldest event that the handler has neither handled nor discarded; absent while nobody audits."}, []string{handler}),
		healed: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "pitwheel_ledger_healed_total",
			Help: "Missing events that this instance has delivered again."}, []string{handler}),
		orphaned: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "pitwheel_orphaned_messages",
			Help: "Messages in the queue of a handler that no instance declares any more."}, []string{"queue"}),
	}
	var errs []error
	for _, c := range []prometheus.Collector{m.execution, m.publish, m.received, m.messages, m.inFlight, m.attempt, m.age,
		m.paused, m.breaker, m.rateLimit, m.commands, m.append, m.conflicts, m.relayLag, m.lost, m.viewLag, m.poison, m.parked, m.blocked, m.unsettled, m.missing, m.oldest, m.healed, m.orphaned} {
		errs = append(errs, reg.Register(c))
	}
	return m, errors.Join(errs...)
}

func (m *Metrics) handler(name string) *handlerMetrics {
	return &handlerMetrics{
		succeeded: m.execution.WithLabelValues(name, "true"),
		failed:    m.execution.WithLabelValues(name, "false"),
		acked:     m.received.WithLabelValues("pitwheel", name, "acked"),
		nacked:    m.received.WithLabelValues("pitwheel", name, "nacked"),
		handled:   m.messages.WithLabelValues(name, string(outcomeHandled)),
		duplicate: m.messages.WithLabelValues(name, string(outcomeDuplicate)),
		retried:   m.messages.WithLabelValues(name, string(outcomeRetried)),
		poisoned:  m.messages.WithLabelValues(name, string(outcomePoisoned)),
		parked:    m.messages.WithLabelValues(name, string(outcomeParked)),
		inFlight:  m.inFlight.WithLabelValues(name),
		attempt:   m.attempt.WithLabelValues(name),
		age:       m.age.WithLabelValues(name),
	}
}

// measuredPublisher times every publish of one role, failed ones too: operators look for
// slow failures.
type measuredPublisher struct {
	message.Publisher
	succeeded, failed prometheus.Observer
}

func (m *Metrics) publisher(role string, p message.Publisher) message.Publisher {
	return measuredPublisher{p, m.publish.WithLabelValues("", role, "true"), m.publish.WithLabelValues("", role, "false")}
}

func (p measuredPublisher) Publish(topic string, msgs ...*message.Message) error {
	started := time.Now()
	err := p.Publisher.Publish(topic, msgs...)
	if err == nil {
		p.succeeded.Observe(time.Since(started).Seconds())
	} else {
		p.failed.Observe(time.Since(started).Seconds())
	}
	return err
}
