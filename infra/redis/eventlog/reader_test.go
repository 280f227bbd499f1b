package eventlog_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pitwheel/pitwheel/infra/redis/internal/redistest"

	goredis "github.com/redis/go-redis/v9"

	"github.com/pitwheel/pitwheel/events"
)

func TestLog_Read(t *testing.T) {
	t.Parallel()
	redistest.OnEach(t, func(t *testing.T, url string) {
		s, ctx := redistest.Open(t, url), t.Context()
		begin := time.Now()
		if got := redistest.Must[[]events.Recorded](t)(s.Read(ctx, nil, 10, 50*time.Millisecond)); len(got) != 0 {
			t.Fatalf("an empty log gives %d events", len(got))
		}
		if waited := time.Since(begin); waited < 40*time.Millisecond {
			t.Errorf("it waited only %s", waited)
		}
		const total = 200
		for i := range total {
			redistest.Must[events.Outcome](t)(s.Append(ctx, redistest.Decision(fmt.Sprint("u", i%50), events.NewID(), uint64(i/50), 1)))
		}
		end := redistest.Must[events.Cursor](t)(s.End(ctx))
		if n := events.Cursor(nil).Behind(end); n != total {
			t.Errorf("the end is %v, which makes %d events; want %d", end, n, total)
		}
		cursor, seen := events.Cursor(nil).Clone(s.Partitions()), 0
		for cursor.Behind(end) > 0 {
			got := redistest.Must[[]events.Recorded](t)(s.Read(ctx, cursor, 3, 0))
			if len(got) == 0 || len(got) > 3*s.Partitions() {
				t.Fatalf("%d events in one read", len(got))
			}
			last := -1
			closed := map[int]bool{}
			for _, e := range got {
				if e.Partition != last && closed[e.Partition] {
					t.Errorf("the events of partition %d are not together", e.Partition)
				}
				last, closed[e.Partition] = e.Partition, true
				if e.Position != cursor[e.Partition]+1 {
					t.Errorf("partition %d: position %d after %d", e.Partition, e.Position, cursor[e.Partition])
				}
				cursor[e.Partition] = e.Position
				seen++
			}
		}
		if seen != total {
			t.Errorf("%d events read; want %d", seen, total)
		}

		woken := make(chan int, 1)
		go func() {
			got, _ := s.Read(ctx, end, 10, 20*time.Second)
			woken <- len(got)
		}()
		redistest.Must[events.Outcome](t)(s.Append(ctx, redistest.Decision("late", events.NewID(), 0, 1)))
		if n := <-woken; n != 1 {
			t.Errorf("a waiting reader got %d events; want 1", n)
		}
	})
}

// What is not an event may be anything, and is not shown in an error. It holds up its own
// partition alone.
func TestLog_Read_NotAnEvent(t *testing.T) {
	t.Parallel()
	redistest.OnEach(t, func(t *testing.T, url string) {
		for _, wrongType := range []bool{false, true} {
			ns := redistest.Namespace(t, url)
			s, ctx := redistest.OpenIn(t, url, ns), t.Context()
			for i := range 100 {
				redistest.Must[events.Outcome](t)(s.Append(ctx, redistest.Decision(fmt.Sprint("u", i), events.NewID(), 0, 1)))
			}
			end := redistest.Must[events.Cursor](t)(s.End(ctx))
			key, c, others := ns+":{p3}:log", s.Client(), 100-int(end[3])
			want, name := 100, fmt.Sprint(end[3]+1, "-0")
			err := c.XAdd(ctx, &goredis.XAddArgs{Stream: key, ID: name, Values: []string{"password", "secret"}}).Err()
			if wrongType {
				if strings.HasSuffix(t.Name(), "embedded") {
					continue // It answers as if there were no such key.
				}
				want, name = others, "WRONGTYPE"
				err = c.Set(ctx, key, "secret", 0).Err()
			}
			if err != nil {
				t.Fatal(err)
			}
			got, err := s.Read(ctx, nil, 100, time.Minute)
			var broken events.PartitionErrors
			if !errors.As(err, &broken) || len(broken) != 1 || events.CodeOf(broken[3]) != events.CodeUndecodable {
				t.Fatalf("got %v; want UNDECODABLE for partition 3", err)
			}
			if text := err.Error(); !strings.Contains(text, name) || !strings.Contains(text, "partition 3") || strings.Contains(text, "secret") {
				t.Errorf("the error is %q; want one that says %s and partition 3, and shows no data", text, name)
			}
			if len(got) != want {
				t.Errorf("%d events of the other partitions; want %d", len(got), want)
			}
			without := make(events.Cursor, s.Partitions())
			without[3] = events.Nowhere
			if got, err := s.Read(ctx, without, 100, 0); err != nil || len(got) != others {
				t.Errorf("%d events without the partition: %v", len(got), err)
			}
		}
	})
}

func TestLog_Read_HonoursItsContext(t *testing.T) {
	t.Parallel()
	redistest.OnEach(t, func(t *testing.T, url string) {
		s := redistest.Open(t, url)
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if _, err := s.Read(ctx, nil, 10, time.Hour); err == nil {
			t.Error("no error at the end of the context")
		}
	})
}

func TestLog_FindTime(t *testing.T) {
	t.Parallel()
	redistest.OnEach(t, func(t *testing.T, url string) {
		s, ctx := redistest.Open(t, url), t.Context()
		start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
		for i := range 100 {
			a := redistest.Decision(fmt.Sprint("u", i%10), events.NewID(), uint64(i/10), 1)
			a.Events[0].Timestamp = start.Add(time.Duration(i) * time.Second)
			redistest.Must[events.Outcome](t)(s.Append(ctx, a))
		}
		for _, after := range []int{-5, 0, 1, 37, 99, 100, 200} {
			at := start.Add(time.Duration(after) * time.Second)
			c := redistest.Must[events.Cursor](t)(s.FindTime(ctx, at))
			n := 0
			for p := range s.Partitions() {
				for _, e := range redistest.Must[[]events.Recorded](t)(s.ReadRange(ctx, p, c.At(p)+1, 0)) {
					if e.Timestamp.Before(at) {
						t.Errorf("after %d s: an event of %s", after, e.Timestamp)
					}
					n++
				}
			}
			if want := 100 - min(max(after, 0), 100); n != want {
				t.Errorf("after %d s: %d events; want %d", after, n, want)
			}
		}
		if _, err := s.ReadRange(ctx, 99, 0, 1); events.CodeOf(err) != events.CodeNotFound {
			t.Errorf("a partition that does not exist: %v", err)
		}
	})
}
