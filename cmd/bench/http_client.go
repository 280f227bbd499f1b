package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/pitwheel/pitwheel/events"
)

// httpClient sends requests over a fixed number of persistent connections. It shares the
// machine with the server that it measures, so it does as little as it can: the bytes of a
// request are made once, and of a response only the status and the length of the body are
// read. (The client of net/http would take as much of the CPU as the server does.) All
// contestants of a row use it.
type httpClient struct {
	host string
	idle chan *httpConn
}

type httpConn struct {
	net.Conn
	in *bufio.Reader
}

// dialHTTP opens n connections, which end with ctx.
func dialHTTP(ctx context.Context, addr string, n int) *httpClient {
	c := &httpClient{host: addr, idle: make(chan *httpConn, n)}
	for range n {
		var dialer net.Dialer
		conn := get(dialer.DialContext(ctx, "tcp", addr))
		context.AfterFunc(ctx, func() { _ = conn.Close() })
		c.idle <- &httpConn{Conn: conn, in: bufio.NewReader(conn)}
	}
	return c
}

// post returns the bytes of a request, to be sent any number of times.
func (c *httpClient) post(path, body string) []byte {
	return fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", path, c.host, len(body), body)
}

// do sends a request on the next connection that is idle, and reads the response. Another
// status than the wanted one is an error.
func (c *httpClient) do(ctx context.Context, request []byte, want int) error {
	var conn *httpConn
	select {
	case conn = <-c.idle:
	case <-ctx.Done():
		return ctx.Err()
	}
	status, body, err := conn.roundTrip(request)
	if err != nil {
		_ = conn.Close() // Its next user gets an error, too: a row ends with the first one.
		err = fmt.Errorf("HTTP: %w", err)
	} else if status != want {
		err = events.Errorf(events.CodeInternal, "the HTTP status is %d and not %d: %s", status, want, bytes.Clone(body))
	}
	c.idle <- conn
	return err
}

// roundTrip returns the status and the body, which is valid until the next call.
func (c *httpConn) roundTrip(request []byte) (status int, body []byte, err error) {
	if err = c.SetDeadline(time.Now().Add(patience)); err != nil {
		return 0, nil, err
	}
	if _, err = c.Write(request); err != nil {
		return 0, nil, err
	}
	line, err := c.in.ReadSlice('\n')
	if err != nil {
		return 0, nil, err
	}
	if len(line) < len("HTTP/1.1 200") || !bytes.HasPrefix(line, []byte("HTTP/1.1 ")) {
		return 0, nil, events.Errorf(events.CodeInternal, "the response starts with %q", line)
	}
	if status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return 0, nil, err
	}
	length := -1
	for {
		line, err = c.in.ReadSlice('\n')
		if err != nil {
			return 0, nil, err
		}
		line = bytes.TrimSpace(line)
		if len(line) == 0 {
			break
		}
		if value, ok := bytes.CutPrefix(line, []byte("Content-Length: ")); ok {
			if length, err = strconv.Atoi(string(value)); err != nil {
				return 0, nil, err
			}
		}
	}
	if length < 0 {
		return 0, nil, events.Errorf(events.CodeInternal, "a response of status %d has no Content-Length", status)
	}
	body, err = c.in.Peek(length)
	if err != nil {
		return 0, nil, err
	}
	_, err = c.in.Discard(length)
	return status, body, err
}
