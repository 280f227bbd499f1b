package cli

import (
	"strings"
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/programtest"
	"github.com/pitwheel/pitwheel/router/poison"
)

// TestFailures_LargeHeaders has a message fail whose headers fill a frame of AMQP,
// so that there is no room for the headers of a poison message.
func TestFailures_LargeHeaders(t *testing.T) {
	t.Parallel()
	b := realBrokers(t)
	r := b.serve(t)
	broken := `{"type":"USER_CREATED","data":{`
	err := b.channel(t).PublishWithContext(t.Context(), b.named("user.events"), "USER_CREATED", false, false, amqp.Publishing{
		Body: []byte(broken), CorrelationId: "story", Headers: amqp.Table{"small": "s", "large": strings.Repeat("x", 128<<10-200)},
	})
	if err != nil {
		t.Fatal(err)
	}
	var messages []poison.Message
	programtest.Eventually(t, "the poison message", func() bool {
		messages = poisonOf(t, pitwheel(t, b.environ, "poison", "export").ok(t).stdout)
		return len(messages) == 1
	})
	if l := messages[0]; string(l.Body) != broken || l.Code != events.CodeUndecodable || l.CorrelationID != "story" || l.Metadata["small"] != "s" || l.Handler != "send-welcome" || l.Metadata[poison.MetaLeftOut] != "large" || l.Metadata["large"] != "" {
		t.Errorf("the poison message is %+v", l)
	}
	_, page := r.get(t, "/metrics")
	if n := metric(page, "pitwheel_broker_reconnects_total"); n != 0 {
		t.Errorf("the connection was lost %v times", n)
	}
}
