package rabbitmq

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/pitwheel/pitwheel/events"
)

// headerText returns a header of any type as text.
func headerText(value any) string {
	switch v := value.(type) {
	case string:
		return v
	case nil:
		return ""
	case []byte:
		return string(v)
	case bool:
		return strconv.FormatBool(v)
	case int64:
		return strconv.FormatInt(v, 10)
	case int32:
		return strconv.FormatInt(int64(v), 10)
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64)
	case float32:
		return strconv.FormatFloat(float64(v), 'g', -1, 32)
	case time.Time:
		return timeText(v)
	case amqp.Decimal:
		return decimalText(v)
	case amqp.Table, []any:
		text, err := json.Marshal(plainJSON(v))
		if err != nil {
			return fmt.Sprint(v)
		}
		return string(text)
	}
	return fmt.Sprint(value) // the other sizes of integers
}

// plainJSON converts a table or array, at any depth, into values that encoding/json can
// write.
func plainJSON(value any) any {
	switch v := value.(type) {
	case amqp.Table:
		out := make(map[string]any, len(v))
		for key, field := range v {
			out[key] = plainJSON(field)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, field := range v {
			out[i] = plainJSON(field)
		}
		return out
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return headerText(v)
		}
	case float32:
		if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
			return headerText(v)
		}
	case []byte, time.Time, amqp.Decimal:
		return headerText(v)
	}
	return value
}

// timeText formats a time as the envelope does. Years beyond RFC 3339, which a foreign
// producer may send, are formatted as seconds since 1970.
func timeText(t time.Time) string {
	t = t.UTC()
	if y := t.Year(); y < 0 || y > 9999 {
		return strconv.FormatInt(t.Unix(), 10)
	}
	return t.Format(events.TimeLayout)
}

// decimalText formats value × 10^-scale.
func decimalText(d amqp.Decimal) string {
	digits := strconv.FormatInt(int64(d.Value), 10)
	if d.Scale == 0 {
		return digits
	}
	return digits + "e-" + strconv.Itoa(int(d.Scale))
}
