package settings_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pitwheel/pitwheel/infra/settings"
)

// TestSet_Effective has every source, and no secret.
func TestSet_Effective(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file, token := filepath.Join(dir, "shop.yaml"), filepath.Join(dir, "token")
	for path, text := range map[string]string{file: "currency: USD\nsignature: s3cret\nkey_prefix: orders\nhandlers: {bill: {attempts: 3}}\n", token: "s3cret\n"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	set, err := settings.NewSet("shop", []string{"bill"},
		settings.Setting{Name: "redis_url", Usage: "Redis"},
		settings.Setting{Name: "amqp_url", Usage: "RabbitMQ"},
		settings.Setting{Name: "currency", Usage: "EUR or USD"},
		settings.Setting{Name: "price_list", Default: "prices.csv", Usage: "file with the prices"},
		settings.Setting{Name: "signature", Usage: "what orders are signed with", Secret: true},
		settings.Setting{Name: "http_token", Usage: "who may use the API"},
		settings.Setting{Name: "api_key", Usage: "of the price service"},
		settings.Setting{Name: "smtp_password", Usage: "of the mail server"},
		settings.Setting{Name: "key_prefix", Usage: "of the rows"},
	)
	if err != nil {
		t.Fatal(err)
	}
	v, err := set.Load(settings.Source{
		File:    file,
		Flags:   map[string]string{"redis_url": "redis://:s3cret@cache:6379/1"},
		Environ: []string{"SHOP_AMQP_URL=amqp://shop:s3cret@broker/", "SHOP_HTTP_TOKEN_FILE=" + token, "SHOP_API_KEY=s3cret"},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []settings.Effective{
		{"redis_url", "redis://:xxxxx@cache:6379/1", settings.Origin{Source: "flag", Location: "--redis-url"}},
		{"amqp_url", "amqp://shop:xxxxx@broker/", settings.Origin{Source: "environment", Location: "SHOP_AMQP_URL"}},
		{"currency", "USD", settings.Origin{Source: "file", Location: file}},
		{"price_list", "prices.csv", settings.Origin{Source: "default"}},
		{"signature", settings.Hidden, settings.Origin{Source: "file", Location: file}},
		{"http_token", settings.Hidden, settings.Origin{Source: "environment", Location: "SHOP_HTTP_TOKEN_FILE (the file " + token + ")"}},
		{"api_key", settings.Hidden, settings.Origin{Source: "environment", Location: "SHOP_API_KEY"}},
		{"smtp_password", "", settings.Origin{Source: "default"}},
		{"key_prefix", "orders", settings.Origin{Source: "file", Location: file}},
	}
	if diff := cmp.Diff(want, set.Effective(v)); diff != "" {
		t.Error(diff)
	}
	if got := v.HandlersOrigin().String(); got != "file "+file {
		t.Errorf("the values of handlers come from %q", got)
	}
}
