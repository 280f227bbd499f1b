package rabbitmq_test

import (
	"crypto/tls"
	"encoding/pem"
	"io"
	"net"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/pitwheel/pitwheel/infra/brokertest"
	"github.com/pitwheel/pitwheel/infra/rabbitmq"
)

// tlsFront accepts TLS for the broker at target, and returns its address and the
// file of the authority that it is to be trusted by.
func tlsFront(t *testing.T, target string) (addr, authority string) {
	t.Helper()
	https := httptest.NewTLSServer(nil)
	t.Cleanup(https.Close)
	authority = filepath.Join(t.TempDir(), "ca.pem")
	block := &pem.Block{Type: "CERTIFICATE", Bytes: https.Certificate().Raw}
	if err := os.WriteFile(authority, pem.EncodeToMemory(block), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: https.TLS.Certificates, MinVersion: tls.VersionTLS12})
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", target)
			if err != nil {
				_ = client.Close()
				continue
			}
			for _, way := range [][2]net.Conn{{client, server}, {server, client}} {
				serving.Go(func() {
					_, _ = io.Copy(way[0], way[1])
					_ = way[0].Close()
				})
			}
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		serving.Wait()
	})
	return l.Addr().String(), authority
}

func TestBroker_TLS(t *testing.T) {
	t.Parallel()
	uri, err := amqp.ParseURI(brokertest.AMQP(t))
	if err != nil {
		t.Fatal(err)
	}
	if uri.Scheme != "amqp" {
		t.Skip("the broker speaks TLS itself, and so do all other tests")
	}
	addr, authority := tlsFront(t, net.JoinHostPort(uri.Host, strconv.Itoa(uri.Port)))
	b := newBench(t, func(c *rabbitmq.Config) {
		plain, _, _ := strings.Cut(brokertest.AtAddress(t, c.URL, addr), "?")
		c.URL = "amqps" + strings.TrimPrefix(plain, "amqp") + "?cacertfile=" + url.QueryEscape(authority)
	})
	sub := b.subscriber()
	out := b.subscribe(sub)
	for range 3 {
		if err := b.broker.Publisher().Publish("user.events", created("1"), created("2")); err != nil {
			t.Fatal(err)
		}
		receive(t, out).Ack()
		receive(t, out).Ack()
	}
	// Closed before the front is.
	if err := b.broker.Close(); err != nil {
		t.Error(err)
	}
}

func TestBroker_ClassicQueues(t *testing.T) {
	t.Parallel()
	b := newBench(t, queueType(rabbitmq.Classic))
	sub := b.subscriber()
	out := b.subscribe(sub)
	if err := b.broker.QueuePublisher().Publish("other", created("1")); err != nil {
		t.Fatal(err)
	}
	if err := b.broker.Publisher().Publish("user.events", created("2")); err != nil {
		t.Fatal(err)
	}
	receive(t, out).Ack()
	if got := b.depth("other"); got != 1 {
		t.Errorf("%d messages in the queue, want 1", got)
	}
}
