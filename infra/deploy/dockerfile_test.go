package deploy_test

import (
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// git runs git, and skips the test where there is no repository.
func git(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", args...)
	cmd.Dir = dir
	out, err := cmd.Output()
	if err != nil {
		t.Skipf("git %s: %v", strings.Join(args, " "), err)
	}
	return string(out)
}

// A build without some of the tracked files would be one of a modified commit.
func TestDockerfile_Context(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("Dockerfile.dockerignore")
	if err != nil {
		t.Fatal(err)
	}
	files := append(strings.Fields(git(t, "../..", "ls-files")), ".git")
	for pattern := range strings.Lines(string(raw)) {
		pattern = strings.TrimSpace(pattern)
		if pattern == "" || strings.HasPrefix(pattern, "#") {
			continue
		}
		for _, file := range files {
			for name := file; name != "."; name = path.Dir(name) {
				if ignored, err := path.Match(pattern, name); ignored || err != nil {
					t.Errorf("%q keeps %s out of the image's build: %v", pattern, file, err)
				}
			}
		}
	}
}

// The program is built with its version where there is a repository, and built all the same
// where there is none.
func TestDockerfile_Version(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	build, _, ok := strings.Cut(string(raw), "\nFROM alpine")
	run := regexp.MustCompile(`(?m)^RUN ((?:.*\\\n)*.*go build .*)$`).FindStringSubmatch(build)
	if !ok || run == nil || !strings.Contains(build, "apk add --no-cache git\n") {
		t.Fatalf("the build has no git, or is not recognised:\n%s", build)
	}
	bin, with, without := t.TempDir(), t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(bin, "go"), []byte("#!/bin/sh\necho \"$@\"\n"), 0o700); err != nil { //nolint:gosec // It is to be executed.
		t.Fatal(err)
	}
	git(t, with, "init", "-q")
	git(t, with, "-c", "user.name=x", "-c", "user.email=x@example.com", "commit", "-q", "--allow-empty", "-m", "first")
	for dir, want := range map[string]string{with: "build -buildvcs=true ", without: "build -buildvcs=false "} {
		cmd := exec.CommandContext(t.Context(), "sh", "-c", run[1])
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "GIT_CEILING_DIRECTORIES="+filepath.Dir(dir))
		out, err := cmd.Output()
		if err != nil || !strings.HasPrefix(string(out), want) {
			t.Errorf("%v: go is called with %s, want %s", err, out, want)
		}
	}
}
