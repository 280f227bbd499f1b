package router

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"time"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/events/json"
)

// hashBytes is how much of a hash is kept. It tells the commands under one id apart, of which
// there should be one.
const hashBytes = 9

// checkTimeout bounds the lookup of what was sent under an id before.
const checkTimeout = time.Second

// commandHash returns a hash of a command that was read from JSON: of its type and its data.
// It is the same however the JSON was written, and whether or not it has a field with its
// zero value, so that a command that was sent before a release adds a field is the same
// afterwards. It is empty for a command that cannot be written as JSON.
func commandHash(cmd events.Command) string {
	data, err := json.MarshalCanonical(cmd)
	if err != nil {
		return ""
	}
	h := sha256.New()
	_, _ = h.Write([]byte(cmd.CommandType())) // A hash never fails.
	_, _ = h.Write([]byte{0})
	_, _ = h.Write(data)
	var sum [sha256.Size]byte
	return base64.RawURLEncoding.EncodeToString(h.Sum(sum[:0])[:hashBytes])
}

// hashedReceipt returns the receipt of a prepared command with its hash. The decider hashes
// what it reads from the message, and so does this.
func (c *Commands) hashedReceipt(e *events.Envelope) events.Receipt {
	r := receiptOf(e)
	if v, err := c.catalogue.DecodeData(*e); err == nil {
		if cmd, ok := v.(events.Command); ok {
			r.CommandHash = commandHash(cmd)
		}
	}
	return r
}

// checkedOutcome returns the outcome that is stored under a command's id, unless it is
// that of another command.
func checkedOutcome(r events.Receipt, o events.Outcome) (events.Outcome, error) {
	differ := func(a, b string) bool { return a != "" && b != "" && a != b }
	var what string
	switch {
	case differ(o.Command, r.Command):
		what = "a " + o.Command
	case differ(o.CommandHash, r.CommandHash):
		what = "a " + r.Command + " with other data"
	default:
		return o, nil
	}
	return events.Outcome{}, events.Errorf(events.CodeIDInUse, "the id %s is that of %s on %s %s already", r.CommandID, what, r.Aggregate, r.AggregateID).
		WithHint("send the %s under an id of its own", r.Command)
}

// inUse returns an error with the code ID_IN_USE if a command's id was used for another one.
// Without the store it does not know: the message is then found out when it is decided.
func (c *Commands) inUse(ctx context.Context, r events.Receipt) error {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	stored, err := c.log.Outcomes(ctx, []events.Receipt{r})
	if err != nil || stored[0].Status == "" {
		return nil
	}
	_, err = checkedOutcome(r, stored[0])
	return err
}
