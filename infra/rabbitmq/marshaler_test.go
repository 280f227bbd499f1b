package rabbitmq_test

import (
	"encoding/json"
	"math"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/go-cmp/cmp"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/rabbitmq"
)

func TestMarshaler_ForeignHeaders(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	d := amqp.Delivery{
		Headers: amqp.Table{
			"string": "s", "bytes": []byte("b"), "yes": true, "nothing": nil,
			"int8": int8(-8), "byte": byte(8), "int16": int16(16), "uint16": uint16(16), "int32": int32(32), "uint32": uint32(32), "int64": int64(64), "int": 1,
			"float32": float32(0.5), "float64": 1e21, "nan": math.NaN(),
			"time": at, "decimal": amqp.Decimal{Scale: 2, Value: 150},
			"table":   amqp.Table{"a": int32(1), "b": []any{"x", nil, at, []byte("y"), math.Inf(1), float32(2)}},
			"array":   []any{amqp.Table{"count": int64(3)}},
			"x-death": []any{amqp.Table{"queue": "q", "time": at}},
			// What a header says is worth less than what a property says.
			"correlation_id": "header",
		},
		CorrelationId: "property", RoutingKey: "USER_CREATED", Redelivered: true, Timestamp: at, Body: []byte("body"),
	}
	msg, err := rabbitmq.Marshaler{}.Unmarshal(d)
	if err != nil {
		t.Fatal(err)
	}
	want := message.Metadata{
		"string": "s", "bytes": "b", "yes": "true", "nothing": "",
		"int8": "-8", "byte": "8", "int16": "16", "uint16": "16", "int32": "32", "uint32": "32", "int64": "64", "int": "1",
		"float32": "0.5", "float64": "1e+21", "nan": "NaN",
		"time": "2026-01-02T03:04:05.000Z", "decimal": "150e-2",
		"table":              `{"a":1,"b":["x",null,"2026-01-02T03:04:05.000Z","y","+Inf",2]}`,
		"array":              `[{"count":3}]`,
		"x-death":            `[{"queue":"q","time":"2026-01-02T03:04:05.000Z"}]`,
		"correlation_id":     "property",
		events.MetaType:      "USER_CREATED",
		events.MetaTimestamp: "2026-01-02T03:04:05.000Z",
		"x-redelivered":      "true",
		events.MetaAppID:     "",
	}
	if diff := cmp.Diff(want, msg.Metadata); diff != "" {
		t.Errorf("metadata (-want +got):\n%s", diff)
	}
	if msg.UUID != "" || string(msg.Payload) != "body" {
		t.Errorf("got %q %q", msg.UUID, msg.Payload)
	}
}

// A message that passes through us stays its producer's: in a delay tier, in the poison queue
// and back.
func TestMarshaler_ForeignAppID(t *testing.T) {
	t.Parallel()
	m := rabbitmq.Marshaler{AppID: "app"}
	for _, appID := range []string{"", "shop"} {
		msg, err := m.Unmarshal(amqp.Delivery{AppId: appID, RoutingKey: "USER_CREATED"})
		if err != nil {
			t.Fatal(err)
		}
		p, err := m.Marshal(msg.Copy())
		if _, header := p.Headers[events.MetaAppID]; err != nil || p.AppId != appID || header {
			t.Errorf("a message of %q is published as one of %q, with the headers %v (%v)", appID, p.AppId, p.Headers, err)
		}
	}
}

// Whatever we can send, we read back as it was.
func FuzzMarshaler(f *testing.F) {
	f.Add("id", "USER_CREATED", "corr", "2026-01-02T03:04:05.678Z", "key", "value", []byte("body"))
	f.Add("", "", "", "yesterday", "x-death", "\xff", []byte(nil))
	f.Add("id", "T", "c", "0001-01-01T00:00:00.000Z", "CC", "a", []byte("{}"))
	f.Fuzz(func(t *testing.T, id, kind, correlation, timestamp, key, value string, body []byte) {
		msg := message.NewMessage(id, body)
		msg.Metadata = message.Metadata{
			events.MetaType: kind, events.MetaCorrelationID: correlation, events.MetaTimestamp: timestamp, key: value,
		}
		m := rabbitmq.Marshaler{AppID: "app"}
		p, err := m.Marshal(msg)
		if err != nil {
			if code := events.CodeOf(err); code != events.CodeInvalid {
				t.Fatalf("Marshal: %v", err)
			}
			return
		}
		if err := p.Headers.Validate(); err != nil {
			t.Fatal(err)
		}
		got, err := m.Unmarshal(amqp.Delivery{
			Headers: p.Headers, MessageId: p.MessageId, Type: p.Type, CorrelationId: p.CorrelationId, AppId: p.AppId,
			Timestamp: p.Timestamp, Body: p.Body, RoutingKey: msg.Metadata[events.MetaType],
		})
		if err != nil {
			t.Fatal(err)
		}
		if got.UUID != id || string(got.Payload) != string(body) {
			t.Errorf("got %q %q", got.UUID, got.Payload)
		}
		for _, k := range []string{events.MetaType, events.MetaCorrelationID} {
			if got.Metadata[k] != msg.Metadata[k] {
				t.Errorf("%s is %q, was %q", k, got.Metadata[k], msg.Metadata[k])
			}
		}
	})
}

// Whatever a producer puts into a header, reading it neither fails nor yields
// text that is not JSON where JSON is required.
func FuzzForeignHeader(f *testing.F) {
	f.Add("k", "v", int64(1), 1.5, int64(0), []byte("b"))
	f.Add("", "\xff", int64(math.MinInt64), math.NaN(), int64(math.MaxInt64), []byte{0xff})
	f.Fuzz(func(t *testing.T, key, text string, n int64, x float64, seconds int64, raw []byte) {
		inner := amqp.Table{key: text, "n": n, "x": x, "t": time.Unix(seconds, 0), "raw": raw, "d": amqp.Decimal{Scale: uint8(n), Value: int32(n)}, "none": nil}
		msg, err := rabbitmq.Marshaler{}.Unmarshal(amqp.Delivery{
			Timestamp: time.Unix(seconds, 0),
			Headers:   amqp.Table{"table": amqp.Table{"inner": inner}, "array": []any{inner, []any{inner}}, key: x},
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range []string{"table", "array"} {
			if v := msg.Metadata[k]; k != key && (!json.Valid([]byte(v)) || !utf8.ValidString(v)) {
				t.Errorf("%s is not JSON: %q", k, v)
			}
		}
	})
}
