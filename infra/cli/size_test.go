package cli

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/programtest"
	"github.com/pitwheel/pitwheel/router/poison"
)

// TestServe_MessageSizeLimit tries every entry with what is just too large: it is refused
// at once where it is sent, and otherwise becomes a poison message.
func TestServe_MessageSizeLimit(t *testing.T) {
	t.Parallel()
	const limit = 2048
	b := realBrokers(t)
	b.environ = append(slices.Clone(b.environ), fmt.Sprint("PITWHEEL_MAX_MESSAGE_BYTES=", limit))
	r := b.serve(t)
	deactivate := func(size int) string {
		const frame = `{"userId":"6f2b1f6e-52a1-4d0c-9a55-0d0f6a1c0001","reason":""}`
		return strings.Replace(frame, `""`, `"`+strings.Repeat("x", size-len(frame))+`"`, 1)
	}
	for _, size := range []int{limit - 10, limit + 1} { // Too large as a message, and by itself.
		resp, err := http.Post("http://"+r.http+"/v1/commands/DEACTIVATE_USER", "application/json", strings.NewReader(deactivate(size)))
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusRequestEntityTooLarge {
			t.Errorf("a body of %d bytes is answered with %s", size, resp.Status)
		}
		sent := pitwheel(t, b.environ, "send", "DEACTIVATE_USER", "-d", deactivate(size), "-o", "json")
		if sent.code != exitRejected || !strings.Contains(sent.stderr, `"code":"TOO_LARGE"`) {
			t.Errorf("sending %d bytes ended with %d: %s", size, sent.code, sent.stderr)
		}
	}
	if sent := pitwheel(t, b.environ, "send", "DEACTIVATE_USER", "-d", deactivate(limit-200), "--wait", "-o", "json"); !strings.Contains(sent.stdout, `"code":"USER_NOT_FOUND"`) {
		t.Errorf("what is not too large is not decided: %d %s %s", sent.code, sent.stdout, sent.stderr)
	}

	large := fmt.Sprintf(`{"type":"USER_CREATED","data":{"userId":"6f2b1f6e-52a1-4d0c-9a55-0d0f6a1c0001","email":"nest@example.com","name":%q}}`, strings.Repeat("x", limit))
	if err := b.channel(t).PublishWithContext(t.Context(), b.named("user.events"), "USER_CREATED", false, false, amqp.Publishing{Body: []byte(large)}); err != nil {
		t.Fatal(err)
	}
	var messages []poison.Message
	programtest.Eventually(t, "a poison message", func() bool {
		messages = poisonOf(t, pitwheel(t, b.environ, "poison", "export").ok(t).stdout)
		return len(messages) == 1
	})
	if l := messages[0]; l.Code != events.CodeTooLarge || l.Attempts != 1 || string(l.Body) != large {
		t.Errorf("the poison message is %+v", l)
	}
	if n := b.mails.Count(); n != 0 {
		t.Errorf("%d mails were sent", n)
	}
}
