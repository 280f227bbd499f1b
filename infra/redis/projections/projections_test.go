package projections_test

import (
	"encoding/json"
	"fmt"
	"sync"
	"testing"

	"github.com/pitwheel/pitwheel/infra/redis/internal/redistest"

	"github.com/google/go-cmp/cmp"

	"github.com/pitwheel/pitwheel/events"
)

func TestProjections_Commit(t *testing.T) {
	t.Parallel()
	redistest.OnEach(t, func(t *testing.T, url string) {
		s, ctx := redistest.Open(t, url), t.Context()
		put := func(n int) (rows []events.Row) {
			for i := range n {
				rows = append(rows, events.Row{Key: fmt.Sprintf("k%05d", i), Data: json.RawMessage(fmt.Sprintf(`{"n":%d}`, i))})
			}
			return rows
		}
		if err := s.Commit(ctx, events.ProjectionCommit{Projection: "dir", To: events.Cursor{0, 10}, Put: put(2500)}); err != nil {
			t.Fatal(err)
		}
		got := redistest.Must[events.Cursor](t)(s.ProjectionCursor(ctx, "dir"))
		if !cmp.Equal(got, events.Cursor{0, 10}.Clone(s.Partitions())) {
			t.Errorf("cursor %v", got)
		}
		stale := events.ProjectionCommit{Projection: "dir", To: events.Cursor{0, 11}, Put: []events.Row{{Key: "k00000", Data: json.RawMessage(`"stale"`)}}}
		if err := s.Commit(ctx, stale); events.CodeOf(err) != events.CodeCursorMoved {
			t.Errorf("a step from an old cursor: %v", err)
		}
		// So is one from a cursor that is old only in a partition that it does not move.
		elsewhere := events.ProjectionCommit{Projection: "dir", From: events.Cursor{0, 3}, To: events.Cursor{4, 3}}
		if err := s.Commit(ctx, elsewhere); events.CodeOf(err) != events.CodeCursorMoved {
			t.Errorf("a step from a cursor that is old elsewhere: %v", err)
		}
		other := events.ProjectionCommit{Projection: "dir", From: events.Cursor{0, 10}, To: events.Cursor{4, 10}, Delete: []string{"k00001", "k00002"}}
		if err := s.Commit(ctx, other); err != nil {
			t.Fatal(err)
		}
		rows := redistest.Must[[][]byte](t)(s.Rows(ctx, "dir", []string{"k02499", "k00001", "k00000"}))
		if want := [][]byte{[]byte(`{"n":2499}`), nil, []byte(`{"n":0}`)}; !cmp.Equal(rows, want) {
			t.Errorf("rows %q", rows)
		}
		var keys []string
		for after := ""; ; {
			page := redistest.Must[[]events.Row](t)(s.List(ctx, "dir", after, 900))
			if len(page) == 0 {
				break
			}
			for _, r := range page {
				keys = append(keys, r.Key)
			}
			after = keys[len(keys)-1]
		}
		if len(keys) != 2498 || keys[0] != "k00000" || keys[1] != "k00003" || keys[2497] != "k02499" {
			t.Errorf("%d keys listed", len(keys))
		}
		if err := s.DropProjection(ctx, "dir"); err != nil {
			t.Fatal(err)
		}
		if got := redistest.Must[events.Cursor](t)(s.ProjectionCursor(ctx, "dir")); got.At(1) != 0 {
			t.Errorf("the cursor of a dropped projection is %v", got)
		}
		if rows := redistest.Must[[]events.Row](t)(s.List(ctx, "dir", "", 0)); len(rows) != 0 {
			t.Errorf("a dropped projection has %d rows", len(rows))
		}
	})
}

// A list has as many rows as asked for, at most 10,000.
func TestProjections_List_ManyRows(t *testing.T) {
	t.Parallel()
	redistest.OnEach(t, func(t *testing.T, url string) {
		s, ctx := redistest.Open(t, url), t.Context()
		const all, most, step = 10_500, 10_000, 1500
		for n := 0; n < all; n += step {
			c := events.ProjectionCommit{Projection: "dir", From: events.Cursor{uint64(n)}, To: events.Cursor{uint64(n + step)}}
			for i := range step {
				key := fmt.Sprintf("k%05d", n+i)
				c.Put = append(c.Put, events.Row{Key: key, Data: json.RawMessage(`"row of ` + key + `"`)})
			}
			if err := s.Commit(ctx, c); err != nil {
				t.Fatal(err)
			}
		}
		for limit, want := range map[int]int{0: most, most: most, all: most, 8000: 8000, 1000: 1000, 1001: 1001, 1: 1} {
			rows := redistest.Must[[]events.Row](t)(s.List(ctx, "dir", "", limit))
			if len(rows) != want {
				t.Errorf("with limit %d there are %d rows, not %d", limit, len(rows), want)
			}
			for i, r := range rows {
				if key := fmt.Sprintf("k%05d", i); r.Key != key || string(r.Data) != `"row of `+key+`"` {
					t.Fatalf("with limit %d, row %d is %+v", limit, i, r)
				}
			}
		}
	})
}

// Two instances that project the same events apply each of them once.
func TestProjections_Commit_TwoInstancesApplyAnEventOnce(t *testing.T) {
	t.Parallel()
	redistest.OnEach(t, func(t *testing.T, url string) {
		s, ctx := redistest.Open(t, url), t.Context()
		const events1 = 100
		var both sync.WaitGroup
		for range 2 {
			both.Go(func() {
				for {
					cursor, err := s.ProjectionCursor(ctx, "sum")
					if err != nil {
						t.Error(err)
						return
					}
					if cursor.At(0) == events1 {
						return
					}
					rows, err := s.Rows(ctx, "sum", []string{"total"})
					if err != nil {
						t.Error(err)
						return
					}
					var total int
					_ = json.Unmarshal(rows[0], &total) // Missing at first.
					to := cursor.Clone(1)
					to[0]++
					err = s.Commit(ctx, events.ProjectionCommit{Projection: "sum", From: cursor, To: to,
						Put: []events.Row{{Key: "total", Data: json.RawMessage(fmt.Sprint(total + 1))}}})
					if err != nil && events.CodeOf(err) != events.CodeCursorMoved {
						t.Error(err)
						return
					}
				}
			})
		}
		both.Wait()
		if rows := redistest.Must[[][]byte](t)(s.Rows(ctx, "sum", []string{"total"})); string(rows[0]) != fmt.Sprint(events1) {
			t.Errorf("the total is %s; want %d", rows[0], events1)
		}
	})
}
