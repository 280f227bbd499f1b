// Package telemetry creates the logger ([NewLogger]) and the metrics registry
// ([NewRegistry]) of a process. It bounds what Watermill logs ([WatermillLogger]),
// measures the connections with brokers ([BrokerState], [BrokerBlocked]) and keeps
// secrets out of messages ([RedactURL]).
package telemetry
