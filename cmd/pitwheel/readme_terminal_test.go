package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/pitwheel/pitwheel/infra/brokertest"
	"github.com/pitwheel/pitwheel/infra/programtest"
)

// terminal is a shell in which a reader types the blocks of a section. Exports, variables and
// the folder last from block to block.
//
// What is typed is the text of the README, but for this:
//
//   - The address of HTTP is that of the program which runs, and those of the brokers are the
//     tests' own, in a namespace of the test.
//   - A command that is waited for gets two minutes. A block that only looks is repeated until
//     it succeeds and prints what the README shows, since rows may be a moment late.
//   - go mod tidy works without the network.
//   - What [terminal.omitted] names is not run.
type terminal struct {
	t      *testing.T
	reader *reader
	// state is a script that restores the shell.
	state string
}

func (r *reader) terminal(t *testing.T) *terminal {
	t.Helper()
	term := &terminal{t: t, reader: r, state: filepath.Join(t.TempDir(), "state")}
	term.remember(fmt.Sprintf("cd %q\n%s", r.clone(), r.reach))
	return term
}

// The commands that run until they are stopped, and those that change nothing.
var (
	longRunning = regexp.MustCompile(`^\S*/\w+ (dev|serve)\b`)
	looks       = regexp.MustCompile(`^(\S*/\w+ (handler (list|show|replay)|ledger|log|store show|event|aggregate|projection (get|rows|list)|poison (list|show)|send \S+ --help)|curl -s '?http)`)
)

// The brokers as the README has them.
const (
	readmeAMQP  = "amqp://guest:guest@127.0.0.1:5672/"
	readmeRedis = "redis://127.0.0.1:6379"
)

// run types a block, which must print something like each line of output.
func (term *terminal) run(text, output string) {
	t := term.t
	t.Helper()
	if why := term.omitted(text); why != "" {
		t.Logf("not run, as %s:\n%s", why, text)
		return
	}
	if strings.Contains(text, readmeAMQP) {
		text = term.onBrokers(text)
	}
	var script string
	for line := range strings.Lines(text) {
		switch {
		case longRunning.MatchString(line):
			term.shell(script, "")
			script = ""
			term.start(strings.TrimSpace(line), output)
		case line == "go mod tidy\n":
			term.shell(script, "")
			script = ""
			tidyOffline(t, term.reader.clone(), term.folder())
		default:
			if strings.Contains(line, " send ") || strings.Contains(line, " retry ") {
				line = strings.Replace(line, "--wait", "--wait --timeout 2m", 1)
			}
			script += strings.ReplaceAll(line, "127.0.0.1:8080", term.reader.http)
		}
	}
	term.shell(script, output)
}

// shell runs a script to its end.
func (term *terminal) shell(script, output string) {
	t := term.t
	t.Helper()
	if script == "" {
		return
	}
	onlyLooks := true
	for line := range strings.Lines(script) {
		onlyLooks = onlyLooks && looks.MatchString(line)
	}
	var printed string
	try := func() bool {
		var err error
		if printed, err = term.bash(script); err != nil {
			printed += err.Error()
			return false
		}
		for _, want := range expectations(output) {
			if !regexp.MustCompile(want).MatchString(printed) {
				printed += "\nnothing is like " + want
				return false
			}
		}
		return true
	}
	done := try()
	for deadline := time.Now().Add(programtest.Patience); !done && onlyLooks && time.Now().Before(deadline); {
		done = try()
	}
	if !done {
		t.Fatalf("this fails:\n%s\n%s", script, printed)
	}
	t.Logf("%s\n%s", script, printed)
}

// bash runs a script, and remembers what it leaves in the shell.
func (term *terminal) bash(script string) (printed string, err error) {
	script = "set -e -o pipefail -o allexport\n. " + term.state + "\n" + script +
		"\n{ export -p; printf 'cd %q\\n' \"$PWD\"; } >" + term.state + ".new\nmv " + term.state + ".new " + term.state
	cmd := exec.CommandContext(term.t.Context(), "bash", "-c", script)
	cmd.Env = term.reader.environ
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// start starts a program that runs until it is stopped, and waits for its output.
func (term *terminal) start(line, output string) {
	term.t.Helper()
	term.reader.start(term.t, ". "+term.state+"\n", line)
	term.remember(term.reader.reach)
	for _, want := range expectations(output) {
		term.reader.program.Stdout.Await(term.t, want)
	}
}

// remember adds to the state of the shell.
func (term *terminal) remember(script string) {
	term.t.Helper()
	f, err := os.OpenFile(term.state, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err == nil {
		_, err = f.WriteString(script)
		_ = f.Close()
	}
	if err != nil {
		term.t.Fatal(err)
	}
}

// folder is where the shell is.
func (term *terminal) folder() string {
	term.t.Helper()
	out, err := term.bash("pwd\n")
	if err != nil {
		term.t.Fatal(err)
	}
	return strings.TrimSpace(out)
}

// onBrokers replaces the URLs of brokers by those of the tests. Without a RabbitMQ the rest
// of the section is skipped.
func (term *terminal) onBrokers(text string) string {
	t := term.t
	t.Helper()
	amqp, redis, namespace := brokertest.AMQP(t), brokertest.Redis(t), brokertest.Namespace(t)
	brokertest.CleanRedis(t, redis, namespace)
	var queues []string
	for _, name := range []string{"create-user", "change-user-email", "deactivate-user", "notification-service", "confirm-email", "user-directory"} {
		queues = append(queues, namespace+"."+name)
	}
	brokertest.CleanAMQP(t, amqp, queues, []string{namespace + ".user.events", namespace + ".user.commands"})
	t.Cleanup(func() { term.reader.stop(t) }) // Before the brokers are cleaned.
	term.remember("export PITWHEEL_LOG_FORMAT=json PITWHEEL_NAMESPACE=" + namespace + "\n")
	return strings.NewReplacer(readmeAMQP, "'"+amqp+"'", readmeRedis, "'"+redis+"'").Replace(text)
}

// omitted returns why a block is not run.
func (term *terminal) omitted(text string) string {
	switch {
	case strings.HasPrefix(text, "go test ./...\n"):
		return "this test is one of those"
	case strings.Contains(text, "docker compose") || strings.Contains(text, "pitwheel:pitwheel@"):
		return withoutCompose(term.t)
	}
	return ""
}

// withoutCompose returns why docker compose up cannot run here. Package deploy checks its
// file anyway.
func withoutCompose(t *testing.T) string {
	t.Helper()
	for _, args := range [][]string{{"info"}, {"compose", "version"}} {
		if out, err := exec.CommandContext(t.Context(), "docker", args...).CombinedOutput(); err != nil {
			return fmt.Sprintf("docker %s fails: %v %s", args[0], err, strings.TrimSpace(string(out)))
		}
	}
	for _, port := range []string{"8080", "5672", "15672", "6379", "1025", "8025", "9090", "3000"} {
		l, err := net.Listen("tcp", "127.0.0.1:"+port)
		if err != nil {
			return "another program serves on port " + port
		}
		_ = l.Close()
	}
	return ""
}

// write saves a block as the file that it is. A file that exists is a list, to whose end the
// block adds a line.
func (term *terminal) write(b block) {
	t := term.t
	t.Helper()
	path, text := filepath.Join(term.folder(), b.file), b.text
	if before, err := os.ReadFile(path); err == nil {
		text = withLine(t, string(before), text)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// withLine adds a line after the last one of a list of handlers, unless it is there:
// whoever has followed the README has it.
func withLine(t *testing.T, table, line string) string {
	t.Helper()
	if strings.Contains(table, line) {
		return table
	}
	const end = "\t}\n}\n"
	before, found := strings.CutSuffix(table, end)
	if !found {
		t.Fatalf("handlers/handlers.go does not end with %q", end)
	}
	return before + line + end
}

// tidyOffline runs go mod tidy on a module without the network. If the module cache has
// only what our module is built from, and not the modules of which tidy reads no more
// than the requirements, the requirements of our module do as well.
func tidyOffline(t *testing.T, clone, dir string) {
	t.Helper()
	sums, err := os.ReadFile(filepath.Join(clone, "go.sum"))
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
	ours, err := os.ReadFile(filepath.Join(clone, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	const path = "github.com/pitwheel/pitwheel"
	own := strings.Replace(string(ours), "module "+path, "module example.com/shop", 1) +
		"\nrequire " + path + " v0.0.0\nreplace " + path + " => ../pitwheel\n"
	if err := os.WriteFile(filepath.Join(dir, "go.mod"), []byte(own), 0o600); err != nil {
		t.Fatal(err)
	}
}
