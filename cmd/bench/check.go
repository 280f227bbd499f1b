package main

// What a row needs either works or ends the row, as in a benchmark of package testing: check
// and get panic with a failure, and catch turns that into an error again. Only the goroutine
// that prepares or runs a contestant may use them; others return their errors to it.

type failure struct{ err error }

// check ends the row if there is an error.
func check(err error) {
	if err != nil {
		panic(failure{err})
	}
}

// get returns a value, or ends the row if there is an error.
func get[T any](v T, err error) T {
	check(err)
	return v
}

// catch calls f and returns the error that ended it, or nil.
func catch(f func()) (err error) {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case failure:
			err = r.err
		default:
			panic(r)
		}
	}()
	f()
	return nil
}
