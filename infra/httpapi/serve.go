package httpapi

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"syscall"
	"time"

	"github.com/pitwheel/pitwheel/events"
)

// answerTimeout is how long requests in progress have for their answer once their contexts
// have ended.
const answerTimeout = 500 * time.Millisecond

// Listen listens on host:port. An error has the code CONFIG and the field Addr.
func Listen(addr string) (net.Listener, error) {
	l, err := net.Listen("tcp", addr)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, events.Errorf(events.CodeConfig, "the HTTP address %s is in use", addr).WithField("Addr").
			WithHint("stop what listens there, perhaps another instance, or choose another address, such as 127.0.0.1:8081")
	case err != nil:
		return nil, events.Errorf(events.CodeConfig, "cannot listen on %s: %w", addr, err).WithField("Addr").
			WithHint("it has the form host:port, such as 127.0.0.1:8080")
	}
	return l, nil
}

// Serve answers requests on l until ctx ends, and then accepts no more. Those in progress
// go on until patience ends, which ends their contexts: they have half a second for their
// answers. Then Serve returns nil. It closes l. Errors of net/http go to the standard logger.
func Serve(ctx, patience context.Context, l net.Listener, h http.Handler) error {
	server := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       30 * time.Second,
		// Sending and waiting at their longest, and time to write the answer.
		WriteTimeout:   sendTimeout + maxWait + 15*time.Second,
		IdleTimeout:    2 * time.Minute,
		MaxHeaderBytes: 64 << 10,
		BaseContext:    func(net.Listener) context.Context { return patience },
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	select {
	case err := <-served:
		return fmt.Errorf("the HTTP server has stopped: %w", err)
	case <-ctx.Done():
	}
	drain, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(patience, func() { time.AfterFunc(answerTimeout, cancel) })()
	err := server.Shutdown(drain)
	if errors.Is(err, context.Canceled) {
		err = server.Close()
	}
	if ended := <-served; !errors.Is(ended, http.ErrServerClosed) {
		err = errors.Join(err, ended)
	}
	if err != nil {
		return fmt.Errorf("stopping the HTTP server: %w", err)
	}
	return nil
}
