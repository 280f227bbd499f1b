package settings

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestNearest(t *testing.T) {
	t.Parallel()
	known := []string{"amqp_url", "redis_url", "http_addr", "namespace"}
	for word, want := range map[string]string{
		"redis_ul": "redis_url", "rdeis_url": "redis_url", "AMQP_URL": "amqp_url", "namespaces": "namespace",
		"http": "http_addr", "namespace_file": "namespace", "redis_url": "redis_url", "reds_ulr": "redis_url",
		"": "", "x": "", "price": "", "postgres_url": "", "rabbitmq_address": "", "re": "",
	} {
		if got := Nearest(word, known); got != want {
			t.Errorf("Nearest(%q) = %q, want %q", word, got, want)
		}
	}
	if got := Nearest("x", nil); got != "" {
		t.Errorf("nearest of nothing = %q, want nothing", got)
	}
	// One edit is enough for a short word only if it is one of its own.
	if got := Nearest("ls", []string{"get", "list", "is"}); got != "is" {
		t.Errorf(`Nearest("ls") = %q, want "is"`, got)
	}
}

func TestSuggest(t *testing.T) {
	t.Parallel()
	many := strings.Split("a b c d e f g h i j k l", " ")
	for _, tt := range []struct {
		word  string
		known []string
		want  string
	}{
		{"send-welcom", []string{"create-user", "send-welcome"}, `; the nearest is "send-welcome"`},
		{"billing", []string{"create-user", "send-welcome"}, "; there are create-user, send-welcome"},
		{"billing", []string{"send-welcome"}, "; there is only send-welcome"},
		{"billing", nil, "; there are none"},
		{"billing", many[:10], "; there are a, b, c, d, e, f, g, h, i, j"},
		{"billing", many, "; there are a, b, c, d, e, f, g, h, i, j and 2 more"},
	} {
		if got := Suggest(tt.word, tt.known); got != tt.want {
			t.Errorf("Suggest(%q, %q) = %q, want %q", tt.word, tt.known, got, tt.want)
		}
	}
}

func TestDistance(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"a", "", 1}, {"ab", "ba", 1}, {"kitten", "sitting", 3}, {"größe", "groesse", 4}} {
		if got := distance(c.a, c.b); got != c.want {
			t.Errorf("distance(%q, %q) = %d, want %d", c.a, c.b, got, c.want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		a, b := rapid.StringN(0, 12, -1).Draw(t, "a"), rapid.StringN(0, 12, -1).Draw(t, "b")
		d := distance(a, b)
		if d != distance(b, a) {
			t.Fatalf("the distance of %q and %q depends on their order", a, b)
		}
		if (d == 0) != (a == b) {
			t.Fatalf("the distance of %q and %q is %d", a, b, d)
		}
		if longest := max(len([]rune(a)), len([]rune(b))); d > longest {
			t.Fatalf("the distance of %q and %q is %d, more than %d", a, b, d, longest)
		}
	})
}
