// Package brokertest finds real brokers for tests, or starts some, and breaks the
// way to them. It is imported by tests only.
package brokertest
