// Command pitwheel runs the reference application and talks to it.
package main

import "github.com/pitwheel/pitwheel/infra/cli"

func main() { cli.Main() }
