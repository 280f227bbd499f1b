// Package telemetry makes the loggers and metrics registry of a process: how log
// lines look ([NewLogger]), how Watermill's own lines are kept few
// ([WatermillLogger]), what every process measures ([NewRegistry], [BrokerState])
// and how secrets stay out of messages ([RedactURL]).
package telemetry
