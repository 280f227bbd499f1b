// Package programtest runs programs in tests, and waits for what they print.
//
//	serve := programtest.Start(t, exec.Command("shop", "serve"))
//	serve.Stderr.Await(t, `every handler is consuming`)
//	code, body := programtest.Get(t, "http://127.0.0.1:8080/readyz")
//	if exit := serve.Stop(t); exit != 0 {
//		t.Errorf("the exit code is %d", exit)
//	}
//
// Whatever does not come within [Patience] fails the test.
package programtest

import (
	"bytes"
	"io"
	"net/http"
	"regexp"
	"sync"
	"testing"
	"time"
)

// Patience is how long a test waits for something before it fails: long enough for the
// race detector on a busy machine.
const Patience = 2 * time.Minute

// Output keeps what a program has printed so far. Its zero value is empty, and it is safe
// for concurrent use.
type Output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write appends to the output. It never fails.
func (o *Output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

// String returns the output so far.
func (o *Output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// Await returns the groups of the first match of a pattern, once there is one.
func (o *Output) Await(t testing.TB, pattern string) (found []string) {
	t.Helper()
	re := regexp.MustCompile(pattern)
	if !eventually(func() bool {
		found = re.FindStringSubmatch(o.String())
		return found != nil
	}) {
		t.Fatalf("nothing like %q was printed within %s:\n%s", pattern, Patience, o)
	}
	return found
}

// Eventually polls a condition until it holds. What names it in the failure.
func Eventually(t testing.TB, what string, check func() bool) {
	t.Helper()
	if !eventually(check) {
		t.Fatalf("waited %s in vain for %s", Patience, what)
	}
}

func eventually(check func() bool) bool {
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for deadline := time.After(Patience); !check(); {
		select {
		case <-ticker.C:
		case <-deadline:
			return false
		}
	}
	return true
}

// Get returns the status code and the body of a page.
func Get(t testing.TB, url string) (code int, body string) {
	t.Helper()
	resp, err := http.Get(url) //nolint:gosec,noctx // The test names the URL, and ends with its process.
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}
