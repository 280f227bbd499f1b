package health

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestHealth_Run(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var h Health
		var log bytes.Buffer
		ctx, stop := context.WithCancel(t.Context())
		var at []time.Time
		err := h.Run(ctx, slog.New(slog.NewTextHandler(&log, nil)), "relay", func(context.Context) error {
			at = append(at, time.Now())
			switch len(at) {
			case 5: // The last error is that of the calls before.
				if err := h.Err(); err == nil || err.Error() != "away" {
					t.Errorf("the health is %v", err)
				}
				h.OK()
			case 6:
				stop()
			}
			return errors.New("away")
		})
		if err := errors.Join(err, h.Err()); err != nil {
			t.Errorf("a role that was stopped ends with %v", err)
		}
		if n := strings.Count(log.String(), "background role failed"); n != 2 { // The first, and the first after progress.
			t.Errorf("logged %d times:\n%s", n, log.String())
		}
		if pause := at[4].Sub(at[3]); pause < 4*firstPause {
			t.Errorf("the pause after four failures is %s", pause)
		}
		if pause := at[5].Sub(at[4]); pause > 2*firstPause {
			t.Errorf("the pause after progress is %s", pause)
		}
	})
}

// A role that gets nowhere is given up after some seconds, and the error is shown until
// another instance may have it.
func TestHealth_Run_GivesUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var h Health
		began := time.Now()
		run := func(f func(context.Context) error) error {
			return h.Run(t.Context(), slog.New(slog.DiscardHandler), "relay", f)
		}
		away := errors.New("away")
		if err := run(func(context.Context) error { return away }); !errors.Is(err, away) {
			t.Errorf("it ended with %v", err)
		}
		if took := time.Since(began); took < giveUpAfter || took > giveUpAfter+2*maxPause {
			t.Errorf("it was given up after %s", took)
		}
		if h.Err() == nil {
			t.Error("nothing is shown while no other instance may have the role")
		}
		<-time.After(showFor + time.Second)
		if err := h.Err(); err != nil {
			t.Errorf("another instance has the role, and %v is shown", err)
		}
		began = time.Now()
		h.SetPart("topic", away)
		if err := run(func(context.Context) error { return GiveUp(away) }); !IsGivenUp(err) || !errors.Is(err, away) || time.Since(began) > 0 {
			t.Errorf("it ended with %v after %s", err, time.Since(began))
		}
	})
}

func TestHealth_Err_Parts(t *testing.T) {
	t.Parallel()
	var h Health
	if !h.SetPart("b", errors.New("b is bad")) || h.SetPart("b", errors.New("b is bad")) || !h.SetPart("a", errors.New("a is bad")) {
		t.Error("a part changes when its error does")
	}
	h.OK()
	if err := h.Err(); err == nil || err.Error() != "a is bad; b is bad" {
		t.Errorf("the health is %v", err)
	}
	h.Set(errors.New("all is bad"))
	h.SetPart("a", nil)
	h.SetPart("b", nil)
	if err := h.Err(); err == nil || err.Error() != "all is bad" {
		t.Errorf("the health is %v", err)
	}
}
