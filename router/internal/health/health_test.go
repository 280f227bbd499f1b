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
		h.Run(ctx, slog.New(slog.NewTextHandler(&log, nil)), "relay", func(context.Context) error {
			at = append(at, time.Now())
			switch len(at) {
			case 11: // The last error is that of the calls before.
				if err := h.Err(); err == nil || err.Error() != "away" {
					t.Errorf("the health is %v", err)
				}
				h.OK()
			case 12:
				stop()
			}
			return errors.New("away")
		})
		if err := h.Err(); err != nil {
			t.Errorf("the health of a role that was stopped is %v", err)
		}
		if n := strings.Count(log.String(), "background role failed"); n != 2 { // The first, and the first after progress.
			t.Errorf("logged %d times:\n%s", n, log.String())
		}
		if pause := at[10].Sub(at[9]); pause < maxPause/2 {
			t.Errorf("the pause after ten failures is %s", pause)
		}
		if pause := at[11].Sub(at[10]); pause > 2*firstPause {
			t.Errorf("the pause after progress is %s", pause)
		}
	})
}
