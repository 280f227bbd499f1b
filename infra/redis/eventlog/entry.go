package eventlog

import (
	"encoding/binary"
	"encoding/json"
	"time"

	"github.com/google/uuid"

	"github.com/pitwheel/pitwheel/events"
)

// An entry of the log has three fields: t, the type, and d, the data, can be read
// by people who look into Redis; h, the head, holds the rest of the header in a
// compact form. With UUIDs in 16 bytes an event takes two thirds of the memory
// that it would take as text.
//
// The head is one byte for the form, then the ids (event, aggregate, correlation,
// causation), the aggregate's type and the trace context as texts, then version,
// timestamp in milliseconds and schema version as varints. A text is a 0 and the
// 16 bytes of a UUID, or its length plus 1 as a varint and its bytes.
const headForm = 1

// encodeHead writes the head of an event of the given aggregate.
func encodeHead(h events.Header, aggregate, id string) []byte {
	out := make([]byte, 0, 96+len(h.Traceparent))
	out = append(out, headForm)
	for _, text := range [...]string{h.ID, id, h.CorrelationID, h.CausationID, aggregate, h.Traceparent} {
		out = appendText(out, text)
	}
	out = binary.AppendUvarint(out, h.Version)
	out = binary.AppendVarint(out, h.Timestamp.UnixMilli())
	return binary.AppendUvarint(out, uint64(h.SchemaVersion))
}

func appendText(out []byte, text string) []byte {
	if len(text) == 36 {
		if id, err := uuid.Parse(text); err == nil && canonical(text) {
			out = append(out, 0)
			return append(out, id[:]...)
		}
	}
	out = binary.AppendUvarint(out, uint64(len(text))+1)
	return append(out, text...)
}

// canonical reports whether a UUID has no upper-case letters, which its 16 bytes
// could not give back.
func canonical(id string) bool {
	for i := range len(id) {
		if id[i] >= 'A' && id[i] <= 'F' {
			return false
		}
	}
	return true
}

// decodeEntry reads an entry of the log.
func decodeEntry(partition int, position uint64, kind, head, data string) (events.Recorded, error) {
	r := headReader{rest: head}
	e := events.Recorded{Partition: partition, Position: position}
	form := r.byte()
	e.ID, e.AggregateID, e.CorrelationID, e.CausationID, e.Aggregate, e.Traceparent = r.text(), r.text(), r.text(), r.text(), r.text(), r.text()
	e.Version, e.Timestamp, e.SchemaVersion = r.uvarint(), time.UnixMilli(r.varint()).UTC(), int(r.uvarint())
	if form != headForm || r.failed {
		return e, events.Errorf(events.CodeUndecodable, "the event at position %d of partition %d has a head that cannot be read", position, partition)
	}
	e.Type, e.Data = kind, json.RawMessage(data)
	return e, nil
}

// headReader reads a head from its beginning. Once something is missing it has failed
// and returns zero values.
type headReader struct {
	rest   string
	failed bool
}

func (r *headReader) take(n int) string {
	if n < 0 || n > len(r.rest) {
		r.failed, r.rest = true, ""
		return ""
	}
	out := r.rest[:n]
	r.rest = r.rest[n:]
	return out
}

func (r *headReader) byte() byte {
	if b := r.take(1); b != "" {
		return b[0]
	}
	return 0
}

func (r *headReader) uvarint() uint64 {
	var v uint64
	for shift := 0; shift < 64; shift += 7 {
		b := r.byte()
		v |= uint64(b&0x7f) << shift
		if b < 0x80 {
			return v
		}
	}
	r.failed = true
	return 0
}

func (r *headReader) varint() int64 {
	u := r.uvarint()
	return int64(u>>1) ^ -int64(u&1)
}

func (r *headReader) text() string {
	n := r.uvarint()
	if r.failed {
		return ""
	}
	if n > 0 {
		return r.take(int(min(n-1, 1<<31)))
	}
	raw := r.take(16)
	if raw == "" {
		return ""
	}
	var id uuid.UUID
	copy(id[:], raw)
	return id.String()
}
