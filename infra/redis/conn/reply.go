package conn

// Text returns a part of a reply that is a string, else "".
func Text(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case []byte:
		return string(v)
	}
	return ""
}

// Field returns the value of a field in a flat list of names and values.
func Field(fields []any, name string) (value any, ok bool) {
	for i := 0; i+1 < len(fields); i += 2 {
		if Text(fields[i]) == name {
			return fields[i+1], true
		}
	}
	return nil, false
}

// FieldText returns the text of a field in a flat list of names and values.
func FieldText(fields []any, name string) (string, bool) {
	value, ok := Field(fields, name)
	return Text(value), ok
}

// EntryID returns the id of an entry of a stream, or "" if it is not an entry.
func EntryID(entry any) string {
	if pair, _ := entry.([]any); len(pair) > 0 {
		return Text(pair[0])
	}
	return ""
}
