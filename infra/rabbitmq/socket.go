package rabbitmq

import (
	"bufio"
	"context"
	"errors"
	"net"
	"os"
	"sync"
	"time"
)

// maxGathered is how many bytes a socket buffers at most while a write is in progress.
const maxGathered = 256 << 10

// socket is a network connection that buffers what is written while an earlier write is in
// progress and then sends all of it at once. The AMQP library makes a system call for every
// message published and every acknowledgement; under load most of them are saved, and a
// single write is still sent at once.
//
// It also bounds the time of a write: the library holds a lock meanwhile, and a broker that
// no longer reads would keep it locked forever.
type socket struct {
	net.Conn
	reader  *bufio.Reader // The library's own buffer takes a system call for every 4 KiB.
	timeout time.Duration

	mu       sync.Mutex
	gathered []byte        // what is not sent yet
	spare    []byte        // the other buffer
	err      error         // why nothing can be sent any more
	wake     chan struct{} // contains a token when something was gathered
	space    chan struct{} // contains a token when the gathered bytes were taken
	closed   chan struct{}
	once     sync.Once
	sender   sync.WaitGroup
}

// dialer returns a dial function for the AMQP library, which calls opened with the socket.
// Closing the socket ends its goroutine.
func dialer(ctx context.Context, timeout time.Duration, opened func(*socket)) func(network, addr string) (net.Conn, error) {
	return func(network, addr string) (net.Conn, error) {
		d := net.Dialer{Timeout: 10 * time.Second}
		conn, err := d.DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		// For the handshake; the library removes it afterwards.
		if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
			_ = conn.Close()
			return nil, err
		}
		s := &socket{
			Conn:    conn,
			reader:  bufio.NewReaderSize(conn, 64<<10),
			timeout: timeout,
			wake:    make(chan struct{}, 1),
			space:   make(chan struct{}, 1),
			closed:  make(chan struct{}),
		}
		s.sender.Go(s.send)
		opened(s)
		return s, nil
	}
}

// Read reads from the connection.
func (s *socket) Read(p []byte) (int, error) { return s.reader.Read(p) }

// Write returns when p is gathered. An error in sending it is returned by the
// next Write, and ends the connection.
func (s *socket) Write(p []byte) (int, error) {
	var timer *time.Timer
	s.mu.Lock()
	for s.err == nil && len(s.gathered) > maxGathered {
		s.mu.Unlock()
		if timer == nil {
			timer = time.NewTimer(s.timeout)
			defer timer.Stop()
		}
		select {
		case <-s.space:
		case <-s.closed:
			return 0, net.ErrClosed
		case <-timer.C:
			return 0, os.ErrDeadlineExceeded
		}
		s.mu.Lock()
	}
	defer s.mu.Unlock()
	if s.err != nil {
		return 0, s.err
	}
	s.gathered = append(s.gathered, p...)
	notify(s.wake)
	return len(p), nil
}

func notify(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// send writes what is gathered until the socket is closed.
func (s *socket) send() {
	for {
		select {
		case <-s.wake:
		case <-s.closed:
			s.flush() // The last frames, such as connection.close-ok.
			return
		}
		if !s.flush() {
			return
		}
	}
}

// flush returns false if the connection is broken.
func (s *socket) flush() bool {
	s.mu.Lock()
	out := s.gathered
	s.gathered, s.spare = s.spare[:0], nil
	s.mu.Unlock()
	notify(s.space)
	if len(out) == 0 {
		s.spare = out
		return true
	}
	_ = s.Conn.SetWriteDeadline(time.Now().Add(s.timeout)) // The write itself reports a broken connection.
	_, err := s.Conn.Write(out)
	s.mu.Lock()
	defer s.mu.Unlock()
	if cap(out) <= 4*maxGathered {
		s.spare = out[:0]
	}
	if err != nil {
		s.err = err
		notify(s.space)
		_ = s.Conn.Close() // The reader must notice as well.
		return false
	}
	return true
}

// Close sends what is gathered and closes the connection. It may be called
// again.
func (s *socket) Close() error {
	err := net.ErrClosed
	s.once.Do(func() {
		// The last flush must not wait long.
		close(s.closed)
		timer := time.AfterFunc(time.Second, func() { _ = s.Conn.Close() })
		s.sender.Wait()
		timer.Stop()
		err = s.Conn.Close()
		s.mu.Lock()
		s.err = net.ErrClosed
		s.mu.Unlock()
	})
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
