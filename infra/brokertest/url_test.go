package brokertest_test

import (
	"testing"

	"github.com/pitwheel/pitwheel/infra/brokertest"
)

func TestAtAddress(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]string{
		"amqp://guest:guest@broker:5672/":                  "amqp://guest:guest@127.0.0.1:7/",
		"amqp://broker":                                    "amqp://127.0.0.1:7",
		"amqp://guest:p%40ss@broker/pw-test":               "amqp://guest:p%40ss@127.0.0.1:7/pw-test",
		"amqp://broker/team%2Fa%20b?heartbeat=5":           "amqp://127.0.0.1:7/team%2Fa%20b?heartbeat=5",
		"redis://:secret@broker:6379/7?read_timeout=1h":    "redis://:secret@127.0.0.1:7/7?read_timeout=1h",
		"amqps://guest:guest@broker/%2f?cacertfile=ca.pem": "amqps://guest:guest@127.0.0.1:7/%2f?cacertfile=ca.pem",
	} {
		if got := brokertest.AtAddress(t, url, "127.0.0.1:7"); got != want {
			t.Errorf("%s at another address is %s, want %s", url, got, want)
		}
	}
}

func TestWithPassword(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]string{
		"amqp://broker:5672/":                   "amqp://guest:no%40@broker:5672/",
		"amqp://broker":                         "amqp://guest:no%40@broker",
		"amqp://ada:secret@broker/team%2Fa%20b": "amqp://ada:no%40@broker/team%2Fa%20b",
	} {
		if got := brokertest.WithPassword(t, url, "no@"); got != want {
			t.Errorf("%s with another password is %s, want %s", url, got, want)
		}
	}
}
