package app_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/pitwheel/pitwheel/infra/programtest"
)

// readmeSection returns a section of the README, without its heading.
func readmeSection(t *testing.T, heading string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(moduleRoot(t), "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(text), "\n## "+heading+"\n")
	if !found {
		t.Fatalf("README.md has no section %q", heading)
	}
	section, _, _ = strings.Cut(section, "\n## ")
	return section
}

// TestReadme_InYourOwnModule does what the section of the README says, word for word: it
// writes the files into an empty folder, and runs the commands.
func TestReadme_InYourOwnModule(t *testing.T) {
	if testing.Short() {
		t.Skip("it compiles another module: run without -short")
	}
	t.Parallel()
	root, dir, section := moduleRoot(t), t.TempDir(), readmeSection(t, "In your own module")
	lines := 0
	for _, file := range regexp.MustCompile("(?s)`([\\w/]+\\.go)`:\n\n```go\n(.*?)```").FindAllStringSubmatch(section, -1) {
		path := filepath.Join(dir, file[1])
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(file[2]), 0o600); err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(file[2]) {
			if strings.TrimSpace(line) != "" {
				lines++
			}
		}
	}
	if lines == 0 || lines >= 60 {
		t.Errorf("the program has %d lines, blank ones aside; it must have fewer than 60", lines)
	}

	var printed []string
	var shop program
	var service *process
	for _, block := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(section, -1) {
		for line := range strings.Lines(block[1]) {
			line = strings.TrimSpace(line)
			switch {
			case line == "./shop dev":
				service, shop = program{path: filepath.Join(dir, "shop")}.dev(t)
			case line == "go mod tidy":
				tidyOffline(t, root, dir)
			case strings.HasPrefix(line, "go "):
				// The folder of a clone is this one.
				goTool(t, dir, strings.Fields(strings.ReplaceAll(line, "../pitwheel", root))[1:]...)
			default:
				args, ours := strings.CutPrefix(line, "./shop ")
				if !ours || service == nil {
					t.Fatalf("this test cannot run %q", line)
				}
				if strings.Contains(args, "--wait") {
					args += " --timeout 2m" // The machine may be slow.
				}
				out := ""
				programtest.Eventually(t, "row", func() bool { // A projection may be a moment late.
					out = shop.run(t, strings.Fields(args)...)
					return !strings.Contains(args, "rows") || strings.Contains(out, "900")
				})
				printed = append(printed, out)
			}
		}
	}
	if len(printed) != 3 {
		t.Fatalf("%d commands were run beside dev", len(printed))
	}
	for i, want := range []string{`(?m)^status +accepted$`, `KEY +ORDERS +SPENT\s+c-17 +1 +900`, `total +number +required +in cents`} {
		if !regexp.MustCompile(want).MatchString(printed[i]) {
			t.Errorf("nothing like %q was printed:\n%s", want, printed[i])
		}
	}
	shop.run(t, "projection", "rebuild", "customers", "--wait", "--timeout", "2m")
	service.Stdout.Await(t, `send PLACE_ORDER -f customer=… -f total=… --wait`)
	service.stop(t)
}

// tidyOffline runs go mod tidy on a module without the network. If the module cache has
// only what our module is built from, and not the modules of which tidy reads no more
// than the requirements, the requirements of our module do as well.
func tidyOffline(t *testing.T, root, dir string) {
	t.Helper()
	sums, err := os.ReadFile(filepath.Join(root, "go.sum"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "go.sum"), sums, 0o600); err != nil {
		t.Fatal(err)
	}
	tidy := exec.CommandContext(t.Context(), "go", "mod", "tidy")
	tidy.Dir, tidy.Env = dir, append(os.Environ(), "GOWORK=off", "GOPROXY=off")
	out, err := tidy.CombinedOutput()
	if err == nil {
		return
	}
	t.Logf("go mod tidy: %v\n%s", err, out)
	ours, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	own := strings.Replace(string(ours), "module "+modulePath, "module example.com/shop", 1) +
		"\nrequire " + modulePath + " v0.0.0\nreplace " + modulePath + " => " + root + "\n"
	if err := os.WriteFile(filepath.Join(dir, "go.mod"), []byte(own), 0o600); err != nil {
		t.Fatal(err)
	}
}
