// Package parking keeps messages that must wait behind a failed message of their key, for
// handlers that ask for order.
//
// In a handler, a key has one blocker or none: the failed message that it waits for. The
// messages behind it are parked in order, whole, so that their queue goes on with other
// keys. When the blocker is handled or poisoned, the first parked message becomes the
// blocker and is published into the queue again:
//
//	block 1 ──▶ park 2, park 3 ──▶ release 1 (returns 2) ──▶ publish 2, unpark 2 ──▶ release 2 …
//
// Each step is a script that changes nothing when it is repeated after a crash.
package parking
