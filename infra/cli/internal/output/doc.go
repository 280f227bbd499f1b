// Package output prints the data of commands: lists, single things and streams, each as
// a table for people, or as JSON, JSON Lines or YAML for programs.
//
//	p := output.Printer{Out: os.Stdout, Format: output.JSON}
//	err := output.List(p, users, output.Columns[User]{
//		Heads: []string{"name", "age"},
//		Row:   func(u User) []any { return []any{output.Cell(u.Name, 30), u.Age} },
//		Key:   func(u User) string { return u.Name },
//	})
//
// Programs get the JSON of the data, so that names never differ between formats. Tables
// show no control characters, since much of what they show comes from other services.
package output
