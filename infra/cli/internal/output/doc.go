// Package output prints the data of commands: lists, single things and streams, each as
// a table for people, or as JSON, JSON Lines or YAML for programs.
//
//	p := output.Printer{Out: os.Stdout, Format: output.JSON}
//	err := output.List(p, users, []string{"name", "age"}, func(u User) []any {
//		return []any{output.Cell(u.Name, 30), u.Age}
//	})
//
// Programs get the JSON of the data, so that names never differ between formats. Tables
// show no control characters, since much of what they show comes from other services.
package output
