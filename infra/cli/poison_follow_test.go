package cli

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/go-cmp/cmp"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/brokertest"
	"github.com/pitwheel/pitwheel/infra/programtest"
	"github.com/pitwheel/pitwheel/infra/redis"
	"github.com/pitwheel/pitwheel/router/poison"
)

// With --wait, a retry ends with what became of the messages.
func TestPoisonRetry_Wait(t *testing.T) {
	t.Parallel()
	url := brokertest.Redis(t)
	b := brokersAt(t, "", url)
	brokertest.CleanRedis(t, url, b.namespace)
	working := b.environ
	b.environ = append(slices.Clone(working), "PITWHEEL_SMTP_URL=smtp://127.0.0.1:1")
	r := b.serve(t, "--config", impatient(t))
	for i := range 2 {
		if _, err := r.post(t.Context(), "CREATE_USER", fmt.Sprint("user-", i), fmt.Sprintf(`{"email":"u%d@example.com","name":"U"}`, i)); err != nil {
			t.Fatal(err)
		}
	}
	var messages []poison.Message
	programtest.Eventually(t, "two poison messages", func() bool {
		messages = poisonOf(t, pitwheel(t, b.environ, "poison", "list", "-o", "jsonl").ok(t).stdout)
		return len(messages) == 2
	})
	// retry returns what is printed, and the error.
	retry := func(code int, args ...string) (map[string]int, string) {
		t.Helper()
		out := pitwheel(t, b.environ, append([]string{"poison", "retry", "-o", "json"}, args...)...).exits(t, code)
		var tally map[string]int
		if err := json.Unmarshal([]byte(out.stdout), &tally); err != nil {
			t.Fatalf("%q: %v", out.stdout, err)
		}
		return tally, out.stderr
	}
	same := func(want, got map[string]int) {
		t.Helper()
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("tally (-want +got):\n%s", diff)
		}
	}

	// Nothing has been mended.
	tally, text := retry(exitPartly, "--all", "-y", "--wait", "--timeout", programtest.Patience.String())
	same(map[string]int{"matched": 2, "done": 0, "failed_again": 2, "failed": 0, "handled": 0, "unknown": 0}, tally)
	if !strings.Contains(text, "2 × send-welcome failed again with UNAVAILABLE, such as: mail ") || !strings.Contains(text, `"2 of 2 poison messages have failed again and are kept"`) {
		t.Errorf("stderr has %s", text)
	}

	// Nobody handles them.
	if code := r.end(t); code != exitOK {
		t.Errorf("the exit code is %d", code)
	}
	tally, text = retry(exitTimeout, messages[0].ID, "--wait", "--timeout", "50ms")
	same(map[string]int{"matched": 1, "done": 1, "failed_again": 0, "failed": 0, "handled": 0, "unknown": 1}, tally)
	if !strings.Contains(text, "1 of 1 poison messages have neither been handled nor failed again within 50ms") {
		t.Errorf("stderr has %s", text)
	}

	// All is mended.
	b.environ = working
	b.serve(t)
	tally, _ = retry(exitOK, "--all", "-y", "--wait", "--timeout", programtest.Patience.String())
	same(map[string]int{"matched": 1, "done": 1, "failed_again": 0, "failed": 0, "handled": 1, "unknown": 0}, tally)
	programtest.Eventually(t, "every mail", func() bool { return b.mails.Count() == 2 })
}

// A poison message that was discarded is settled, but one that is imported again is to be
// handled: it counts as handled once it is, and not before.
func TestPoisonRetry_WaitForWhatWasDiscarded(t *testing.T) {
	t.Parallel()
	url := brokertest.Redis(t)
	b := brokersAt(t, "", url)
	brokertest.CleanRedis(t, url, b.namespace)
	working := b.environ
	b.environ = append(slices.Clone(working), "PITWHEEL_SMTP_URL=smtp://127.0.0.1:1")
	r := b.serve(t, "--config", impatient(t))
	for i := range 2 {
		if _, err := r.post(t.Context(), "CREATE_USER", fmt.Sprint("user-", i), fmt.Sprintf(`{"email":"u%d@example.com","name":"U"}`, i)); err != nil {
			t.Fatal(err)
		}
	}
	var exported string
	programtest.Eventually(t, "two poison messages", func() bool {
		exported = pitwheel(t, b.environ, "poison", "export").ok(t).stdout
		return len(poisonOf(t, exported)) == 2
	})
	if code := r.end(t); code != exitOK {
		t.Errorf("the exit code is %d", code)
	}
	pitwheel(t, b.environ, "poison", "discard", "--all", "-y", "--reason", "a mistake").ok(t)
	pitwheelWith(t, b.environ, exported, "poison", "import", "-").ok(t)

	b.environ = working
	out := pitwheel(t, b.environ, "poison", "retry", poisonOf(t, exported)[0].ID, "--wait", "--timeout", "50ms").exits(t, exitTimeout)
	if !regexp.MustCompile(`(?m)^unknown +1$`).MatchString(out.stdout) {
		t.Errorf("without a service: %s", out.stdout)
	}
	b.serve(t)
	out = pitwheel(t, b.environ, "poison", "retry", "--all", "-y", "--wait", "--timeout", programtest.Patience.String()).ok(t)
	if !regexp.MustCompile(`(?m)^handled +1$`).MatchString(out.stdout) {
		t.Errorf("with a service: %s", out.stdout)
	}
	programtest.Eventually(t, "every mail", func() bool { return b.mails.Count() == 2 })
}

// A command is handled when it has an outcome.
func TestPoisonRetry_WaitForCommand(t *testing.T) {
	t.Parallel()
	url := brokertest.Redis(t)
	b := brokersAt(t, "", url)
	brokertest.CleanRedis(t, url, b.namespace)
	b.serve(t)
	store, err := redis.Open(t.Context(), redis.Config{URL: url, Namespace: b.namespace})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	// These have failed for a reason that is gone. The second one does not say which user it
	// is for.
	for i, data := range []string{`{"userId":"6f2b1f6e-52a1-4d0c-9a55-0d0f6a1c0001","email":"a@example.com","name":"A"}`, `{"email":"b@example.com","name":"B"}`} {
		id := events.NormalizeID(fmt.Sprint("command-", i))
		msg := message.NewMessage(id, fmt.Appendf(nil, `{"id":%q,"type":"CREATE_USER","timestamp":"2026-11-24T10:00:00.000Z","data":%s}`, id, data))
		msg.Metadata = message.Metadata{"type": "CREATE_USER", poison.MetaCode: "UNAVAILABLE", poison.MetaReason: "the store was away"}
		if err := store.QueuePublisher().Publish("create-user.poison", msg); err != nil {
			t.Fatal(err)
		}
	}
	programtest.Eventually(t, "two poison messages", func() bool {
		return len(poisonOf(t, pitwheel(t, b.environ, "poison", "list", "-o", "jsonl").ok(t).stdout)) == 2
	})
	out := pitwheel(t, b.environ, "poison", "retry", "--all", "-y", "--wait", "--timeout", programtest.Patience.String()).ok(t)
	if !regexp.MustCompile(`(?m)^handled +2$`).MatchString(out.stdout) {
		t.Errorf("stdout has %s", out.stdout)
	}
}

// Without --wait it does not claim to know.
func TestPoisonRetry_SaysWhatItKnows(t *testing.T) {
	t.Parallel()
	url := brokertest.Redis(t)
	b := brokersAt(t, "", url)
	brokertest.CleanRedis(t, url, b.namespace)
	b.serve(t)
	message := `{"id":"5864cf2e-e4f0-5936-acfc-c441d96351f8","handler":"send-welcome","kind":"reaction","queue":"notification-service","topic":"user.events","type":"USER_CREATED","message_id":"6f2b1f6e-52a1-4d0c-9a55-0d0f6a1c0101","code":"X","source":"router","attempts":1,"failures":1,"first_failed_at":"2026-01-24T10:00:00.000Z","last_failed_at":"2026-01-24T10:00:00.000Z","metadata":{"type":"USER_CREATED"},"body":"{\"id\":\"6f2b1f6e-52a1-4d0c-9a55-0d0f6a1c0101\",\"type\":\"USER_CREATED\",\"data\":{\"userId\":\"6f2b1f6e-52a1-4d0c-9a55-0d0f6a1c0101\",\"email\":\"a@example.com\",\"name\":\"A\"}}"}`
	pitwheelWith(t, b.environ, message, "poison", "import", "-").ok(t)
	out := pitwheel(t, b.environ, "poison", "retry", "--all", "-y").ok(t)
	if !strings.Contains(out.stderr, "given back to their handlers: 1; `") || !strings.Contains(out.stderr, "poison list` shows what fails again") {
		t.Errorf("stderr has %s", out.stderr)
	}
}
