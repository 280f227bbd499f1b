package ledger

import "github.com/pitwheel/pitwheel/events"

const chunkBytes = events.ChunkPositions / 8

// bits are the bits of a chunk, the first one as the most significant of the first byte, and
// the range of bytes outside which all are 0.
type bits struct {
	from, to int
	bytes    [chunkBytes]byte
}

func (b *bits) has(i int) bool { return b != nil && b.bytes[i/8]&(0x80>>(i%8)) != 0 }

func (b *bits) set(i int) {
	b.touch(i/8, i/8+1)
	b.bytes[i/8] |= 0x80 >> (i % 8)
}

func (b *bits) unset(i int) { b.bytes[i/8] &^= 0x80 >> (i % 8) }

// touch widens the range.
func (b *bits) touch(from, to int) {
	if b.from == b.to {
		b.from, b.to = from, to
		return
	}
	b.from, b.to = min(b.from, from), max(b.to, to)
}

// add sets the bits that are set in other.
func (b *bits) add(other *bits) {
	if other.from == other.to {
		return
	}
	b.touch(other.from, other.to)
	for i := other.from; i < other.to; i++ {
		b.bytes[i] |= other.bytes[i]
	}
}

// remove unsets the bits that are set in other.
func (b *bits) remove(other *bits) {
	if b == nil || other == nil {
		return
	}
	for i := other.from; i < other.to; i++ {
		b.bytes[i] &^= other.bytes[i]
	}
}

// mask returns the bytes of the range.
func (b *bits) mask() string { return string(b.bytes[b.from:b.to]) }

// chunks are bits by chunk.
type chunks map[events.LedgerChunk]*bits

// of returns the bits of a chunk, to be set.
func (c chunks) of(chunk events.LedgerChunk) *bits {
	b := c[chunk]
	if b == nil {
		b = &bits{}
		c[chunk] = b
	}
	return b
}
