package brokertest

import (
	"net/url"
	"testing"
)

// AtAddress returns a broker's URL with another address, host:port, as for a [Proxy] to that
// broker. User, vhost or database, and options stay as they are written.
func AtAddress(t testing.TB, brokerURL, addr string) string {
	t.Helper()
	u := parse(t, brokerURL)
	u.Host = addr
	return u.String()
}

// WithPassword returns a broker's URL with another password. A URL without a user gets
// RabbitMQ's default, guest.
func WithPassword(t testing.TB, brokerURL, password string) string {
	t.Helper()
	u := parse(t, brokerURL)
	user := u.User.Username()
	if user == "" {
		user = "guest"
	}
	u.User = url.UserPassword(user, password)
	return u.String()
}

// parse keeps the URL out of the failure: it may contain a password.
func parse(t testing.TB, brokerURL string) *url.URL {
	t.Helper()
	u, err := url.Parse(brokerURL)
	if err != nil {
		t.Fatal("the URL of a broker, as in PITWHEEL_TEST_AMQP_URL or PITWHEEL_TEST_REDIS_URL, is not a URL")
	}
	return u
}
