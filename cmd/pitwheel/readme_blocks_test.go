package main

import (
	"regexp"
	"strings"
	"testing"
)

// section is a section of the README.
type section struct {
	name   string
	blocks []block
}

// block is a fenced block. A block of Go that is a file follows a paragraph whose last
// quoted name is that of the file.
type block struct {
	lang, text, file string
}

var fileName = regexp.MustCompile("`([\\w/]+\\.go)`[^`]*:$")

// sectionsOf returns the sections of a Markdown text that have something to do: blocks of
// shell, each perhaps with one of output after it, and files.
func sectionsOf(text string) []section {
	var out []section
	var s section
	var b *block
	paragraph := ""
	end := func() {
		if len(s.blocks) > 0 {
			out = append(out, s)
		}
	}
	for line := range strings.Lines(text) {
		name, heading := strings.CutPrefix(line, "## ")
		lang, fence := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "```")
		switch {
		case b != nil && fence:
			if b.lang == "sh" || b.lang == "" || b.file != "" {
				s.blocks = append(s.blocks, *b)
			}
			b = nil
		case b != nil:
			b.text += line
		case fence:
			b = &block{lang: lang}
			if found := fileName.FindStringSubmatch(strings.TrimSpace(paragraph)); found != nil && lang == "go" {
				b.file = found[1]
			}
			paragraph = ""
		case heading:
			end()
			s = section{name: strings.TrimSpace(name)}
		case strings.TrimSpace(line) != "":
			paragraph += line
		}
	}
	end()
	return out
}

func TestSectionsOf(t *testing.T) {
	t.Parallel()
	got := sectionsOf("# Name\n\ntext\n\n## One\n\nRun `a.go`:\n\n```sh\nrun\n  more\n```\n```\nout\n```\n\n## Empty\n\n## Two\n\nThe file,\n`a/b.go`:\n\n```go\npackage b\n```\n\nAs in `x.go`, this:\n\n```go\nf()\n```\n\n```go\ng()\n```\n\n## Picture\n\n```mermaid\nA\n```\n")
	if len(got) != 2 || got[0].name != "One" || got[1].name != "Two" || len(got[0].blocks) != 2 || len(got[1].blocks) != 2 {
		t.Fatalf("the sections are %+v", got)
	}
	for i, want := range []block{{"sh", "run\n  more\n", ""}, {"", "out\n", ""}, {"go", "package b\n", "a/b.go"}, {"go", "f()\n", "x.go"}} {
		if b := got[i/2].blocks[i%2]; b != want {
			t.Errorf("block %d is %+v, want %+v", i, b, want)
		}
	}
}
