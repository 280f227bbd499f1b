package poison_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router/poison"
)

func TestAdmin_ExportAndImport(t *testing.T) {
	t.Parallel()
	from, to := newFixture(t), newFixture(t)
	from.fill(t, 100, func(i int, m *poison.Message) {
		if i == 0 {
			m.Body = []byte("\xff <&>")
		}
		m.Size, m.Failures = len(m.Body), i+1
	})
	var exported, again bytes.Buffer
	if err := from.Export(t.Context(), poison.Filter{}, &exported); err != nil {
		t.Fatal(err)
	}
	for _, want := range []poison.ImportTally{{Read: 100, Imported: 100}, {Read: 100, Present: 100}} {
		got, err := to.Import(t.Context(), bytes.NewReader(exported.Bytes()), poison.Change{Who: "ada"})
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Fatalf("another tally than wanted (-want +got):\n%s%v", diff, err)
		}
	}
	if err := to.Export(t.Context(), poison.Filter{}, &again); err != nil || again.String() != exported.String() {
		t.Errorf("what was imported differs from what was exported, %v", err)
	}
	if changes := collect(t, to.Changes(t.Context())); len(changes) != 100 || changes[0].Action != poison.Imported || changes[0].Who != "ada" {
		t.Errorf("there are %d changes", len(changes))
	}
}

func TestAdmin_ImportOfOthers(t *testing.T) {
	t.Parallel()
	line, err := failed(1).MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	bodiless, _, _ := strings.Cut(string(line), `,"body":`)
	instead := func(old, by string) string { return strings.Replace(string(line), old, by, 1) }
	for name, text := range map[string]string{
		"not JSON": "x", "nothing in it": "{}", "another id": instead(`"id":"`, `"id":"0`), "no handler": instead(`"handler":"greet"`, `"handler":""`),
		"a queue that is not a name": instead(`"queue":"greetings"`, `"queue":"a b"`), "an unknown kind": instead(`"kind":"reaction"`, `"kind":"other"`),
		"without its body": bodiless + "}",
	} {
		f := newFixture(t)
		got, err := f.Import(t.Context(), strings.NewReader("\n"+text+"\n"+string(line)), poison.Change{})
		if err != nil || got.Read != 2 || got.Imported != 1 || got.Failed != 1 || len(got.Problems) != 1 || !strings.HasPrefix(got.Problems[0].Error(), "line 2: ") {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	f := newFixture(t)
	if got, err := f.Import(t.Context(), strings.NewReader(strings.Repeat("x\n", 20)), poison.Change{}); err != nil || got.Failed != 20 || len(got.Problems) != 10 {
		t.Errorf("of 20 wrong lines: %+v, %v", got, err)
	}
	if _, err := f.Import(t.Context(), iotest.ErrReader(errAway), poison.Change{}); !errors.Is(err, errAway) {
		t.Errorf("the error of the reader is lost: %v", err)
	}
}

// A store could not find a message by a time before 1970 again.
func TestAdmin_ImportOfATimeBefore1970(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	m := failed(1)
	m.LastFailedAt = time.Date(1960, 1, 1, 0, 0, 0, 0, time.UTC)
	line, err := m.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	tally, err := f.Import(t.Context(), bytes.NewReader(line), poison.Change{})
	if err != nil || tally.Failed != 1 || f.left(t) != 0 || !strings.Contains(tally.Problems[0].Error(), "last_failed_at is 1960-01-01T00:00:00.000Z; it must not be before 1970") {
		t.Errorf("the import ends with %+v, %v", tally, err)
	}
}

func TestAdmin_Edit(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	stored := f.fill(t, 2, func(i int, m *poison.Message) {
		if i == 1 {
			m.Body = []byte("\xff")
		}
	})
	m, err := f.Message(t.Context(), stored[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	text, err := poison.EditableBody(m)
	if err != nil || !bytes.Contains(text, []byte("\n  \"type\": ")) {
		t.Fatalf("the text to edit is %s, %v", text, err)
	}
	if _, err := poison.EditableBody(stored[1]); events.CodeOf(err) != events.CodeInvalid {
		t.Errorf("a body that is not text: %v", err)
	}
	for name, wrong := range map[string]string{
		"not JSON": "{", "another id": strings.Replace(string(text), "6f2b", "7f2b", 1), "no data": strings.Replace(string(text), "data", "date", 1),
	} {
		if _, err := f.Edit(t.Context(), m, []byte(wrong), poison.Change{}); err == nil || events.CodeOf(err) != events.CodeInvalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	edited, err := f.Edit(t.Context(), m, bytes.Replace(text, []byte("u0"), []byte("mended"), 1), poison.Change{Who: "ada"})
	if want := strings.Replace(string(m.Body), "u0", "mended", 1); err != nil || string(edited.Body) != want {
		t.Errorf("the edited body is %s, %v; want %s", edited.Body, err, want)
	}
	if now, err := f.Message(t.Context(), m.ID); err != nil || cmp.Diff(edited, now) != "" {
		t.Errorf("stored is another message than returned: %s, %v", cmp.Diff(edited, now), err)
	}
	if _, err := f.Edit(t.Context(), m, text, poison.Change{}); events.CodeOf(err) != events.CodeConflict {
		t.Errorf("an edit of an old revision: %v", err)
	}
	if _, err := f.Edit(t.Context(), failed(9), failed(9).Body, poison.Change{}); events.CodeOf(err) != events.CodeNotFound {
		t.Errorf("an edit of no message: %v", err)
	}
}

func TestGroupBy(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.fill(t, 4, func(i int, m *poison.Message) { m.Code = []string{"B", "A<", "C", "C"}[i] })
	groups, err := poison.GroupBy(f.Messages(t.Context(), poison.Filter{}, poison.NewestFirst), "code", "code", "handler")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, g := range groups {
		text, err := g.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, string(text))
	}
	want := []string{
		`{"code":"C","handler":"greet","messages":2,"first_failed_at":"2026-11-27T10:02:00.000Z","last_failed_at":"2026-11-27T10:03:00.000Z"}`,
		`{"code":"A<","handler":"greet","messages":1,"first_failed_at":"2026-11-27T10:01:00.000Z","last_failed_at":"2026-11-27T10:01:00.000Z"}`,
		`{"code":"B","handler":"greet","messages":1,"first_failed_at":"2026-11-27T10:00:00.000Z","last_failed_at":"2026-11-27T10:00:00.000Z"}`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("other groups than wanted (-want +got):\n%s", diff)
	}
	if _, err := poison.GroupBy(f.Messages(t.Context(), poison.Filter{}, poison.NewestFirst), "cod"); events.CodeOf(err) != events.CodeInvalid {
		t.Errorf("an unknown field: %v", err)
	}
}
