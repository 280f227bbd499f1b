package app_test

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/pitwheel/pitwheel/infra/programtest"
)

// TestShop_Watch edits the shop while dev --watch runs it: it is built and started again
// with its data, and a file that does not compile changes nothing.
func TestShop_Watch(t *testing.T) {
	if testing.Short() {
		t.Skip("it compiles another module: run without -short")
	}
	t.Parallel()
	root, dir, temp := moduleRoot(t), t.TempDir(), t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(root, "infra", "app", "testdata", "shop"))); err != nil {
		t.Fatal(err)
	}
	goTool(t, dir, "mod", "edit", "-replace", "github.com/pitwheel/pitwheel="+root)
	goTool(t, dir, "build", "-o", "bin/", ".")
	shop := program{path: filepath.Join(dir, "bin", "shop")}
	for _, name := range []string{"GOCACHE", "GOMODCACHE"} {
		shop.environ = append(shop.environ, name+"="+strings.TrimSpace(goTool(t, dir, "env", name)))
	}
	shop.environ = append(shop.environ, "GOWORK=off", "TMPDIR="+temp, "SHOP_DEV_REDIS_ADDR=127.0.0.1:0", "SHOP_HTTP_ADDR=127.0.0.1:0")
	cmd := exec.Command("bin/shop", "dev", "--watch")
	cmd.Dir, cmd.Env, cmd.Path = dir, shop.command(t).Env, shop.path
	dev := programtest.Start(t, cmd)
	screen := dev.Stdout.Await(t, `(?s)Its data is kept when a saved file restarts it.*HTTP +http://(\S+).*\n  bin/shop send PLACE_ORDER.*Ctrl-C ends it`)
	place := func(http, item string) string {
		t.Helper()
		p := &process{http: http}
		_, body := p.post(t, "/v1/commands/PLACE_ORDER?wait=60s", `{"orderId":"o-1","customer":"c-17","item":"`+item+`","quantity":1,"total":1}`)
		return body
	}
	if body := place(screen[1], "tea"); !strings.Contains(body, `"accepted"`) {
		t.Fatalf("the order's outcome is %s", body)
	}

	file := filepath.Join(dir, "handlers", "decisions.go")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	save := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	edited := strings.Replace(string(text), `"ORDER_EXISTS"`, `"ORDER_TAKEN"`, 1)
	save(edited + "\nbroken\n")
	dev.Stdout.Await(t, `(?s)changed +handlers/decisions.go\n.*build +failed: .*; the program built before runs on`)
	dev.Stderr.Await(t, `handlers/decisions.go:\d+`)
	if body := place(screen[1], "tea"); !strings.Contains(body, `"ORDER_EXISTS"`) {
		t.Errorf("the program built before answers %s", body)
	}
	save(edited)
	again := dev.Stdout.Await(t, `(?s)build +done in.*draining.*stopped .*restarted +http://(\S+)`)
	if body := place(again[1], "tea"); !strings.Contains(body, `"ORDER_TAKEN"`) {
		t.Errorf("after an edit the repeated order's outcome is %s", body)
	}
	if code, body := programtest.Get(t, "http://"+again[1]+"/v1/projections/orders-by-customer/c-17"); code != http.StatusOK {
		t.Errorf("after a restart the row is %d %s", code, body)
	}

	dev.Signal(t, syscall.SIGINT)
	if code := dev.Exit(t); code != 0 {
		t.Errorf("the exit code is %d", code)
	}
	if left, _ := filepath.Glob(filepath.Join(temp, "shop-dev-*")); len(left) > 0 {
		t.Errorf("it leaves %v", left)
	}
}
