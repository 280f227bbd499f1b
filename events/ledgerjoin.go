package events

import "slices"

// LedgerSpan is some positions of a partition: those after After, up to UpTo.
type LedgerSpan struct {
	Partition   int
	After, UpTo uint64
}

// JoinLedgers returns the ledger of a handler that takes over what another one has settled and
// owes. It owes what either owed. The watermark is that of the ledger that began earlier: what
// the other one's watermark covers beyond are the spans, which are settled, as are the bits of
// both. An audit then goes on where that of the earlier ledger was; where what it has counted
// is not all that the joined ledger owes, it begins again.
//
// What both have settled counts twice in Handled and Discarded. A ledger that has not begun
// leaves the other one as it is.
func JoinLedgers(a, b LedgerState) (joined LedgerState, spans []LedgerSpan) {
	switch {
	case len(a.Terms) == 0:
		return b, nil
	case len(b.Terms) == 0:
		return a, nil
	}
	first, then := a, b
	if b.begin().notAfter(a.begin()) && !a.begin().notAfter(b.begin()) {
		first, then = b, a
	}
	joined = first
	joined.Terms = slices.Clone(first.Terms)
	for _, t := range then.Terms {
		joined.Terms = AddLedgerTerm(joined.Terms, t, nil)
	}
	joined.Handled, joined.Discarded = a.Handled+b.Handled, a.Discarded+b.Discarded
	counted := first.begin().notAfter(then.begin())
	for _, t := range joined.Terms[len(first.Terms):] {
		counted = counted && first.Audited.notAfter(t.After)
	}
	if !counted {
		begin := first.begin().Clone(len(then.begin()))
		for p := range begin {
			begin[p] = min(begin[p], then.begin().At(p))
		}
		joined.Terms[0].After = begin
		joined.Watermark, joined.Audited, joined.Events = begin, begin, 0
		spans = first.spans(spans, begin)
	}
	return joined, then.spans(spans, joined.Watermark)
}

// begin is the cursor after which the ledger begins.
func (s LedgerState) begin() Cursor { return s.Terms[0].After }

// spans adds what is settled by the watermark, after a cursor.
func (s LedgerState) spans(to []LedgerSpan, after Cursor) []LedgerSpan {
	for p, upTo := range s.Watermark {
		if from := max(s.begin().At(p), after.At(p)); from < upTo {
			to = append(to, LedgerSpan{Partition: p, After: from, UpTo: upTo})
		}
	}
	return to
}

// notAfter reports whether c is after other in no partition.
func (c Cursor) notAfter(other Cursor) bool { return other.Behind(c) == 0 }
