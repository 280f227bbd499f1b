package porttest

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router"
)

// TestProjectionStore checks an implementation of [router.ProjectionStore].
func TestProjectionStore(t *testing.T, open func(t *testing.T) router.ProjectionStore) {
	s := suite[router.ProjectionStore]{t, open}
	s.run("a projection that has never read is empty", func(t *testing.T, store router.ProjectionStore) {
		wantCursor(t, get[events.Cursor](t)(store.ProjectionCursor(t.Context(), "p")), 0)
		if rows := get[[][]byte](t)(store.Rows(t.Context(), "p", []string{"a", "b"})); len(rows) != 2 || rows[0] != nil || rows[1] != nil {
			t.Errorf("the rows are %q", rows)
		}
		if rows := get[[]events.Row](t)(store.List(t.Context(), "p", "", 10)); len(rows) != 0 {
			t.Errorf("the list is %v", rows)
		}
	})
	s.run("a step is committed only from the stored cursor", commitsFromStoredCursor)
	s.run("only the last one that has opened a projection can commit", func(t *testing.T, store router.ProjectionStore) {
		step := func(token string, from, to uint64) error {
			return store.Commit(t.Context(), events.ProjectionCommit{Projection: "p", Token: token, Epoch: "epoch", Rebuild: "it is old", From: events.Cursor{from}, To: events.Cursor{to}})
		}
		for _, token := range []string{"first", "second"} {
			get[events.ProjectionState](t)(store.OpenProjection(t.Context(), "p", token))
		}
		must(t, step("second", 0, 1))
		for _, token := range []string{"first", ""} {
			wantCode(t, fmt.Sprintf("a step with the token %q", token), step(token, 1, 2), events.CodeCursorMoved)
		}
		at := get[events.ProjectionState](t)(store.OpenProjection(t.Context(), "p", "third"))
		wantCursor(t, at.Cursor, 1)
		if at.Epoch != "epoch" || at.Rebuild != "it is old" {
			t.Errorf("the state is %+v", at)
		}
	})
	s.run("rows come in the order of their keys", returnsRows)
	s.run("a list is sorted and goes on after a key", listsInPages)
	s.run("each projection has its own rows and cursor", func(t *testing.T, store router.ProjectionStore) {
		must(t, store.Commit(t.Context(), events.ProjectionCommit{Projection: "p", To: events.Cursor{1}, Put: []events.Row{{Key: "a", Data: json.RawMessage(`1`)}}}))
		wantCursor(t, get[events.Cursor](t)(store.ProjectionCursor(t.Context(), "q")), 0)
		if rows := get[[][]byte](t)(store.Rows(t.Context(), "q", []string{"a"})); rows[0] != nil {
			t.Errorf("the row of another projection is %s", rows[0])
		}
	})
	s.run("two instances never apply an event twice", countsOnce)
	s.run("a projection equals its model", checkProjectionModel)
}

func commitsFromStoredCursor(t *testing.T, store router.ProjectionStore) {
	ctx := t.Context()
	step := func(from, to events.Cursor, value string) error {
		return store.Commit(ctx, events.ProjectionCommit{Projection: "p", From: from, To: to, Put: []events.Row{{Key: "k", Data: json.RawMessage(value)}}})
	}
	want := func(value string, cursor ...uint64) {
		t.Helper()
		wantCursor(t, get[events.Cursor](t)(store.ProjectionCursor(ctx, "p")), cursor...)
		if got := get[[][]byte](t)(store.Rows(ctx, "p", []string{"k"})); string(got[0]) != value {
			t.Errorf("the row is %s; want %s", got[0], value)
		}
	}
	must(t, step(nil, events.Cursor{3}, `1`))
	want(`1`, 3)
	for _, from := range []events.Cursor{nil, {2}, {4}} {
		wantCode(t, fmt.Sprintf("a step from %v, where %v is stored", from, 3), step(from, events.Cursor{9}, `2`), events.CodeCursorMoved)
	}
	want(`1`, 3)
	must(t, step(events.Cursor{3}, events.Cursor{4}, `3`))
	want(`3`, 4)
	if len(get[events.Cursor](t)(store.ProjectionCursor(ctx, "p"))) < 2 {
		return // A store of one partition has nothing more to compare.
	}
	must(t, step(events.Cursor{4}, events.Cursor{4, 10}, `4`))
	// The cursor is old in a partition that the step does not move.
	wantCode(t, "a step from a cursor that is old elsewhere", step(events.Cursor{4, 9}, events.Cursor{5, 9}, `5`), events.CodeCursorMoved)
	want(`4`, 4, 10)
}

func returnsRows(t *testing.T, store router.ProjectionStore) {
	ctx, data := t.Context(), []byte(`{"n":"zwölf\u0000"}`)
	c := events.ProjectionCommit{Projection: "p", To: events.Cursor{1}, Put: []events.Row{{Key: "ä:{}*", Data: slices.Clone(data)}, {Key: "b", Data: json.RawMessage(`2`)}}}
	must(t, store.Commit(ctx, c))
	clear(c.Put[0].Data) // The store keeps bytes of its own,
	for range 2 {
		rows := get[[][]byte](t)(store.Rows(ctx, "p", []string{"b", "none", "ä:{}*", "b"}))
		if diff := cmp.Diff([][]byte{[]byte(`2`), nil, data, []byte(`2`)}, rows); diff != "" {
			t.Fatalf("other rows than put (-want +got):\n%s", diff)
		}
		clear(rows[2]) // and returns copies.
	}
	if rows := get[[][]byte](t)(store.Rows(ctx, "p", nil)); len(rows) != 0 {
		t.Errorf("no keys have the rows %q", rows)
	}
	must(t, store.Commit(ctx, events.ProjectionCommit{Projection: "p", From: events.Cursor{1}, To: events.Cursor{2}, Delete: []string{"b", "none"}}))
	if rows := get[[][]byte](t)(store.Rows(ctx, "p", []string{"b"})); rows[0] != nil {
		t.Errorf("a deleted row is %s", rows[0])
	}
}

func listsInPages(t *testing.T, store router.ProjectionStore) {
	ctx := t.Context()
	const n = 1200
	want := make([]events.Row, n)
	for i := range want {
		want[i] = events.Row{Key: fmt.Sprintf("k%05d", i), Data: json.RawMessage(strconv.Itoa(i))}
	}
	shuffled := slices.Clone(want)
	slices.Reverse(shuffled)
	must(t, store.Commit(ctx, events.ProjectionCommit{Projection: "p", To: events.Cursor{1}, Put: append(shuffled, events.Row{Key: "k00000x"}, events.Row{Key: "Z"})}))
	must(t, store.Commit(ctx, events.ProjectionCommit{Projection: "p", From: events.Cursor{1}, To: events.Cursor{2}, Delete: []string{"k00000x", "Z"}}))
	for _, limit := range []int{0, 1, 500, n, 10 * n} {
		got := get[[]events.Row](t)(store.List(ctx, "p", "", limit))
		if limit == 0 {
			limit = n
		}
		if diff := cmp.Diff(want[:min(limit, n)], got); diff != "" {
			t.Errorf("limit %d: another list than wanted (-want +got):\n%s", limit, diff)
		}
	}
	var got []events.Row
	for after := ""; len(got) <= n; after = got[len(got)-1].Key {
		page := get[[]events.Row](t)(store.List(ctx, "p", after, 500))
		if len(page) == 0 {
			break
		}
		got = append(got, page...)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("other pages than wanted (-want +got):\n%s", diff)
	}
	if got := get[[]events.Row](t)(store.List(ctx, "p", "k00003x", 1)); len(got) != 1 || got[0].Key != "k00004" {
		t.Errorf("after a key that has no row: %v", got)
	}
}

// countsOnce lets two instances add up the same events.
func countsOnce(t *testing.T, store router.ProjectionStore) {
	const total = 50
	var both sync.WaitGroup
	for range 2 {
		both.Go(func() {
			for {
				cursor, err := store.ProjectionCursor(t.Context(), "sum")
				if err != nil {
					t.Error(err)
					return
				}
				if cursor.At(0) >= total {
					return
				}
				rows, err := store.Rows(t.Context(), "sum", []string{"total"})
				if err != nil {
					t.Error(err)
					return
				}
				n, _ := strconv.Atoi(string(rows[0])) // There is none at first.
				to := cursor.Clone(1)
				to[0]++
				err = store.Commit(t.Context(), events.ProjectionCommit{Projection: "sum", From: cursor, To: to, Put: []events.Row{{Key: "total", Data: json.RawMessage(strconv.Itoa(n + 1))}}})
				if err != nil && events.CodeOf(err) != events.CodeCursorMoved {
					t.Error(err)
					return
				}
			}
		})
	}
	both.Wait()
	if rows := get[[][]byte](t)(store.Rows(t.Context(), "sum", []string{"total"})); string(rows[0]) != strconv.Itoa(total) {
		t.Errorf("the sum is %s; want %d", rows[0], total)
	}
}

// checkProjectionModel lets rapid commit steps, some of them from an old cursor.
func checkProjectionModel(t *testing.T, store router.ProjectionStore) {
	rapid.Check(t, func(rt *rapid.T) {
		ctx, name := t.Context(), "p-"+events.NewID()
		rows, at := map[string]string{}, uint64(0)
		keys := rapid.SampledFrom([]string{"a", "b", "c", "d"})
		rt.Repeat(map[string]func(*rapid.T){
			"commit": func(rt *rapid.T) {
				from := at
				if rapid.IntRange(0, 3).Draw(rt, "stale") == 0 {
					from = rapid.Uint64Range(0, at+2).Draw(rt, "from")
				}
				next := maps.Clone(rows)
				c := events.ProjectionCommit{Projection: name, From: events.Cursor{from}, To: events.Cursor{at + rapid.Uint64Range(1, 3).Draw(rt, "events")}}
				for _, k := range rapid.SliceOfNDistinct(keys, 0, 4, rapid.ID).Draw(rt, "keys") {
					if rapid.Bool().Draw(rt, "delete") {
						c.Delete = append(c.Delete, k)
						delete(next, k)
						continue
					}
					next[k] = strconv.Itoa(rapid.IntRange(0, 99).Draw(rt, "row"))
					c.Put = append(c.Put, events.Row{Key: k, Data: json.RawMessage(next[k])})
				}
				err := store.Commit(ctx, c)
				if from != at {
					wantCode(rt, "a step from another cursor than the stored one", err, events.CodeCursorMoved)
					return
				}
				must(rt, err)
				rows, at = next, c.To.At(0)
			},
			"": func(rt *rapid.T) {
				wantCursor(rt, get[events.Cursor](rt)(store.ProjectionCursor(ctx, name)), at)
				var want []events.Row
				for _, k := range slices.Sorted(maps.Keys(rows)) {
					want = append(want, events.Row{Key: k, Data: json.RawMessage(rows[k])})
				}
				if diff := cmp.Diff(want, get[[]events.Row](rt)(store.List(ctx, name, "", 10)), cmpopts.EquateEmpty()); diff != "" {
					rt.Fatalf("other rows than committed (-want +got):\n%s", diff)
				}
			},
		})
	})
}
