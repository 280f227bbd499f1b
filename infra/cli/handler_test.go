package cli

import (
	"encoding/json"
	"testing"
)

func TestHandlerShow(t *testing.T) {
	t.Parallel()
	file := written(t, "handlers:\n  send-welcome: {attempts: 7, timeout: 1m30s, paused: true}\n")
	r := pitwheel(t, nil, "handler", "show", "send-welcome", "--config", file).ok(t)
	for _, line := range []string{
		"name +send-welcome", `state +PAUSED \(file\)`, "kind +reaction", "consumes +USER_CREATED", "topic +user.events",
		"queue +notification-service +declaration", "attempts +7 +file " + file, "timeout +1m30s +file " + file, "concurrency +64 +default",
	} {
		matches(t, r.stdout, "(?m)^"+line+"$")
	}
	r = pitwheel(t, nil, "handler", "show", "send-welcome", "--config", file, "-o", "json").ok(t)
	var got handlerView
	if err := json.Unmarshal([]byte(r.stdout), &got); err != nil {
		t.Fatal(err)
	}
	if got.Name != "send-welcome" || got.Topic != "user.events" || got.Settings["attempts"] != (settingView{7.0, "file"}) || got.Settings["ordered"] != (settingView{false, "default"}) {
		t.Errorf("the JSON is %s", r.stdout)
	}
	// A projection has neither topic nor queue.
	r = pitwheel(t, nil, "handler", "show", "user-directory").ok(t)
	matches(t, r.stdout, `(?m)^state +active\nkind +projection\nconsumes +USER_CREATED, .*\npaused +false +default$`)

	r = pitwheel(t, nil, "handler", "show", "send-welcom").exits(t, exitNotFound)
	has(t, r.stderr, `there is no handler "send-welcom"; the nearest is "send-welcome"`, "hint: there are create-user, ")
	r = pitwheel(t, nil, "handler", "show", "billing", "-o", "json").exits(t, exitNotFound)
	has(t, r.stderr, `"code":"NOT_FOUND","message":"there is no handler \"billing\"","hint":"there are create-user, `)
	pitwheel(t, nil, "handler", "show").exits(t, exitUsage)
}

// A paused handler cannot be overlooked.
func TestHandlerList_Paused(t *testing.T) {
	t.Parallel()
	file := written(t, "handlers: {send-welcome: {paused: true}, user-directory: {paused: true}}\n")
	r := pitwheel(t, nil, "handler", "list", "--config", file).ok(t)
	for _, line := range []string{`NAME +STATE +KIND .*`, `create-user +active +command .*`, `send-welcome +PAUSED \(file\) +reaction .*`, `user-directory +PAUSED \(file\) +projection .*`} {
		matches(t, r.stdout, "(?m)^"+line+"$")
	}
}
