package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pitwheel/pitwheel/infra/brokertest"
)

// TestReadme does what the README says, in the order in which it says so, in a copy of the
// repository: it writes the files, runs the shell blocks word for word, and compares what
// they print with the blocks of output that follow them.
//
// A section is a terminal, in the folder of the copy: what one exports is gone in the next.
// What runs until it is stopped, such as dev, is stopped when the next such program starts.
// [terminal] says what differs from what a reader would type: addresses and patience.
func TestReadme(t *testing.T) {
	if testing.Short() {
		t.Skip("it compiles the repository again: run without -short")
	}
	t.Parallel()
	for _, tool := range []string{"bash", "curl"} {
		if _, err := exec.LookPath(tool); err != nil {
			brokertest.Skip(t, "the README is run with "+tool+": put it on the PATH")
		}
	}
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	reader := newReader(t, root)
	commands := 0
	for _, section := range sectionsOf(string(text)) {
		t.Run(section.name, func(t *testing.T) {
			term := reader.terminal(t)
			for i, b := range section.blocks {
				switch {
				case b.lang == "sh":
					commands += strings.Count(b.text, "\n")
					output := ""
					if next := i + 1; next < len(section.blocks) && section.blocks[next].lang == "" {
						output = section.blocks[next].text
					}
					term.run(b.text, output)
				case b.file != "":
					term.write(b)
				}
			}
		})
	}
	if commands < 20 {
		t.Errorf("the README has %d commands; is it read as it is meant?", commands)
	}
	reader.stop(t)
}

// TestReadme_OwnModule bounds what a program of one's own takes.
func TestReadme_OwnModule(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	lines := 0
	for _, section := range sectionsOf(string(text)) {
		if section.name != "Your own event, command, state and row" {
			continue
		}
		for _, b := range section.blocks {
			if b.file == "" {
				continue
			}
			for line := range strings.Lines(b.text) {
				if strings.TrimSpace(line) != "" {
					lines++
				}
			}
		}
	}
	if lines == 0 || lines >= 60 {
		t.Errorf("the program has %d lines, blank ones aside; it must have fewer than 60", lines)
	}
}
