package routertest_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router"
	"github.com/pitwheel/pitwheel/router/routertest"
	"github.com/pitwheel/pitwheel/router/routertest/sample"
)

const ada = "0190f3c2-0000-7000-8000-00000000ada0"

// failingT is a test that keeps why it failed.
type failingT struct {
	testing.TB
	why string
}

func (t *failingT) Helper() {}

func (t *failingT) Fatalf(format string, args ...any) {
	t.why = fmt.Sprintf(format, args...)
	panic(t)
}

// failure returns why a test fails with a kit, or "".
func failure(t *testing.T, start func(testing.TB) *routertest.Kit, test func(*routertest.Kit)) (why string) {
	t.Helper()
	f := &failingT{TB: t}
	kit := start(f)
	defer func() {
		if r := recover(); r != nil && r != any(f) {
			t.Errorf("it panics: %v", r)
		}
		why = f.why
	}()
	test(kit)
	return ""
}

// A misspelt name fails the test; otherwise it would find nothing, and an assertion that
// there is nothing would always hold.
func TestKit_Misuse(t *testing.T) {
	t.Parallel()
	start := func(t testing.TB) *routertest.Kit {
		t.Helper()
		return routertest.Start(t, sample.Catalogue(), sample.Handlers(nil)...)
	}
	noInbox := func(t testing.TB) *routertest.Kit {
		t.Helper()
		return routertest.StartWith(t, func(c *router.Config) { c.Inbox = nil }, sample.Catalogue(), sample.Handlers(nil)...)
	}
	var none *sample.Created
	for _, tt := range []struct {
		name  string
		start func(testing.TB) *routertest.Kit
		test  func(*routertest.Kit)
		want  string // "": the test passes
	}{
		{"row of a projection", start, func(k *routertest.Kit) { k.Row("user-directory", "x", nil) }, ""},
		{"row of no projection", start, func(k *routertest.Kit) { k.Row("user-dirctory", "x", nil) }, `no projection "user-dirctory"; there are user-directory`},
		{"row of a reaction", start, func(k *routertest.Kit) { k.Row("send-welcome", "x", nil) }, `no projection "send-welcome"; there are user-directory`},
		{"published on a topic", start, func(k *routertest.Kit) { k.Published("user.events") }, ""},
		{"published on no topic", start, func(k *routertest.Kit) { k.Published("usr.events") }, `no topic "usr.events"; there are user.commands, user.events`},
		{"published on a foreign topic", start, func(k *routertest.Kit) {
			_ = k.Transport().Publisher().Publish("stock.events", message.NewMessage(events.NewID(), []byte(`{"type":"STOCKED","data":{}}`)))
			if n := len(k.Published("stock.events")); n != 1 {
				t.Errorf("%d messages are published", n)
			}
		}, ""},
		{"delivered to no topic", start, func(k *routertest.Kit) { k.Deliver("usr.events", "USER_CREATED", nil) }, `no topic "usr.events"; there are user.commands, user.events`},
		{"handled by a reaction", start, func(k *routertest.Kit) { k.Handled("send-welcome") }, ""},
		{"handled by nobody", start, func(k *routertest.Kit) { k.Handled("send-welcom") }, `no reaction "send-welcom"; there are send-welcome`},
		{"handled by a projection", start, func(k *routertest.Kit) { k.Handled("user-directory") }, `no reaction "user-directory"; there are send-welcome`},
		{"handled by a command handler", start, func(k *routertest.Kit) { k.Handled("create-user") }, `no reaction "create-user"`},
		{"handled without an inbox", noInbox, func(k *routertest.Kit) { k.Handled("send-welcome") }, "without an Inbox"},
		{"poisoned of a projection", start, func(k *routertest.Kit) { k.Poisoned("user-directory") }, ""},
		{"poisoned of nobody", start, func(k *routertest.Kit) { k.Poisoned("send-welcom") }, `no handler "send-welcom"; there are change-user-email, create-user, deactivate-user, send-welcome, user-directory`},
		{"retry of nothing", start, func(k *routertest.Kit) { k.Retry("send-welcome") }, ""},
		{"retry of nobody", start, func(k *routertest.Kit) { k.Retry("send-welcom") }, `no handler "send-welcom"; there are`},
		{"retry of no message", start, func(k *routertest.Kit) { k.Retry("send-welcome", "x") }, `no poison message for the message "x"`},
		{"discard of no message", start, func(k *routertest.Kit) { k.Discard("send-welcome", "x") }, `no poison message for the message "x"`},
		{"record of nil", start, func(k *routertest.Kit) { k.Record(nil) }, "an event is nil"},
		{"record of a nil pointer", start, func(k *routertest.Kit) { k.Record(none) }, "an event is nil"},
		{"given nil", start, func(k *routertest.Kit) { k.Given(nil) }, "an event is nil"},
		{"record without an id", start, func(k *routertest.Kit) { k.Record(sample.Created{Name: "Ada"}) }, "USER_CREATED has no aggregate id"},
		{"record of an unknown event", start, func(k *routertest.Kit) { k.Record(unknown{}) }, "must be an event in the catalogue and have an AggregateID method; there are USER_CREATED"},
		{"when nil", start, func(k *routertest.Kit) { k.Given().When(nil) }, "the command is nil"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			why := failure(t, tt.start, tt.test)
			if tt.want == "" && why != "" || !strings.Contains(why, tt.want) {
				t.Errorf("the test fails with %q, not %q", why, tt.want)
			}
		})
	}
}

// unknown is an event that the catalogue does not have.
type unknown struct{}

func (unknown) EventType() string { return "UNKNOWN" }

func (unknown) AggregateID() string { return ada }

var _ events.Keyed = unknown{}
