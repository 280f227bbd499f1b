package router

import (
	jsonv1 "github.com/go-json-experiment/json/v1"
)

// unmarshal reads JSON just as encoding/json does, from the package that is to
// become its next implementation and takes a third of the time. Once Go has that
// one by default, this file can go.
func unmarshal(data []byte, v any) error { return jsonv1.Unmarshal(data, v) }
