package events

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strconv"
	"time"
)

// TimeLayout is the layout of timestamps: RFC 3339 in UTC, with milliseconds.
const TimeLayout = "2006-01-02T15:04:05.000Z"

// Encode returns the body of a message: JSON with exactly id, type, timestamp and data.
// The rest of the header travels in properties and headers.
func Encode(e Envelope) []byte {
	out := make([]byte, 0, len(e.Data)+len(e.ID)+len(e.Type)+80)
	out = append(out, `{"id":`...)
	out = appendString(out, e.ID)
	out = append(out, `,"type":`...)
	out = appendString(out, e.Type)
	out = append(out, `,"timestamp":"`...)
	out = e.Timestamp.UTC().AppendFormat(out, TimeLayout)
	out = append(out, `","data":`...)
	if len(e.Data) == 0 {
		out = append(out, "null"...)
	} else {
		out = append(out, e.Data...)
	}
	return append(out, '}')
}

// appendString appends s as a JSON string. Ids and type names are usually plain ASCII,
// which needs no escaping.
func appendString(out []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < 0x20 || c >= 0x7f || c == '"' || c == '\\' {
			quoted, _ := json.Marshal(s) // A string always marshals.
			return append(out, quoted...)
		}
	}
	out = append(out, '"')
	out = append(out, s...)
	return append(out, '"')
}

// Decode reads a body that any producer may have written. The header that the transport
// has read from properties and headers fills in what the body leaves out; body fields
// take precedence.
//
// The envelope of a message that has no id anywhere has none: only who receives it can tell
// it from an equal one. An id is as [MessageID] returns it. The envelope {pattern, data} of
// NestJS is unwrapped. Errors have the code UNDECODABLE.
func Decode(body []byte, header Header) (Envelope, error) {
	e := Envelope{Header: header}
	if err := DecodeInto(&e, body); err != nil {
		return Envelope{}, err
	}
	return e, nil
}

// DecodeInto is [Decode] for an envelope that has the header of the transport already.
// After an error the envelope is unchanged.
func DecodeInto(e *Envelope, body []byte) error {
	if id, typ, at, data, ok := split(body); ok && IsID(string(id)) && len(typ) > 0 {
		if t, err := time.Parse(time.RFC3339Nano, string(at)); err == nil && t.Location() == time.UTC {
			e.Data = data
			e.ID, e.Timestamp = same(id, e.ID), t.Truncate(time.Millisecond)
			e.Type = same(typ, e.Type)
			e.SchemaVersion = max(1, e.SchemaVersion)
			return nil
		}
	}
	general, err := decodeAny(body, e.Header)
	if err == nil {
		*e = general
	}
	return err
}

// same returns b as a string; if that equals s, without allocating.
func same(b []byte, s string) string {
	if string(b) == s {
		return s
	}
	return string(b)
}

// decodeAny reads a body in any order and with any members.
func decodeAny(body []byte, header Header) (Envelope, error) {
	var wire struct {
		ID        json.RawMessage `json:"id"`
		Type      json.RawMessage `json:"type"`
		Timestamp json.RawMessage `json:"timestamp"`
		Data      json.RawMessage `json:"data"`
		Pattern   json.RawMessage `json:"pattern"`
	}
	if err := json.Unmarshal(body, &wire); err != nil {
		return Envelope{}, Errorf(CodeUndecodable, "the body is not a JSON object of the form {id,type,timestamp,data}: %w", explainMisread(body, reflect.TypeOf(wire), err))
	}
	if name := patternName(wire.Pattern); name != "" && wire.Type == nil {
		header.Type = name
		if inner, ok := wrapped(wire.Data); ok {
			return decodeAny(inner, header)
		}
		wire.ID = requestID(wire.ID)
	}
	e := Envelope{Header: header, Data: wire.Data}
	if err := text(wire.Type, "type", &e.Type); err != nil {
		return Envelope{}, err
	}
	if e.Type == "" {
		return Envelope{}, Errorf(CodeUndecodable, `the message has no type: neither "type" in the body nor a property or routing key`)
	}
	if len(e.Data) == 0 || bytes.Equal(e.Data, []byte("null")) {
		return Envelope{}, Errorf(CodeUndecodable, `the body of %s has no "data"`, e.Type)
	}
	if err := text(wire.ID, "id", &e.ID); err != nil {
		return Envelope{}, err
	}
	if e.ID != "" {
		e.ID = MessageID(e.ID)
	}
	if err := timestamp(wire.Timestamp, &e.Timestamp); err != nil {
		return Envelope{}, err
	}
	if e.SchemaVersion == 0 {
		e.SchemaVersion = 1
	}
	return e, nil
}

// text reads a JSON string, or a number as its digits, into out. If raw is absent or
// null, out is left as it is.
func text(raw json.RawMessage, field string, out *string) error {
	switch {
	case len(raw) == 0 || string(raw) == "null":
		return nil
	case raw[0] == '"':
		if plain(raw) {
			*out = string(raw[1 : len(raw)-1])
			return nil
		}
		return json.Unmarshal(raw, out)
	case raw[0] == '-' || raw[0] >= '0' && raw[0] <= '9':
		*out = string(raw)
		return nil
	}
	return Errorf(CodeUndecodable, "%q in the body is neither a string nor a number but %.40s", field, raw)
}

// plain reports whether a valid JSON string needs no unescaping or replacement.
func plain(raw json.RawMessage) bool {
	for _, c := range raw[1 : len(raw)-1] {
		if c == '\\' || c >= 0x80 {
			return false
		}
	}
	return true
}

// timestamp reads an RFC 3339 text, or a number of milliseconds since 1970 as JavaScript's
// Date.now() returns it.
func timestamp(raw json.RawMessage, out *time.Time) error {
	var s string
	if err := text(raw, "timestamp", &s); err != nil {
		return err
	}
	if s == "" {
		return nil
	}
	if raw[0] != '"' {
		ms, err := strconv.ParseFloat(s, 64)
		// The bound keeps the year within the four digits of RFC 3339.
		if err != nil || ms < 0 || ms > 253402300799999 {
			return Errorf(CodeUndecodable, `"timestamp" in the body is not a number of milliseconds since 1970: %.40s`, raw)
		}
		*out = time.UnixMilli(int64(ms)).UTC()
		return nil
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil || t.UTC().Year() < 0 || t.UTC().Year() > 9999 {
		return Errorf(CodeUndecodable, `"timestamp" in the body is not an RFC 3339 time: %.40s`, raw)
	}
	*out = t.UTC().Truncate(time.Millisecond)
	return nil
}
