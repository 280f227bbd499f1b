package settings

import (
	"testing"

	"pgregory.net/rapid"
)

func TestNearest(t *testing.T) {
	t.Parallel()
	known := []string{"amqp_url", "redis_url", "http_addr", "namespace"}
	for word, want := range map[string]string{
		"redis_ul": "redis_url", "rdeis_url": "redis_url", "AMQP_URL": "amqp_url", "namespaces": "namespace",
		"http": "http_addr", "redis_url": "redis_url", "": "amqp_url",
	} {
		if got := Nearest(word, known); got != want {
			t.Errorf("Nearest(%q) = %q, want %q", word, got, want)
		}
	}
	if got := Nearest("x", nil); got != "" {
		t.Errorf("nearest of nothing = %q, want nothing", got)
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
