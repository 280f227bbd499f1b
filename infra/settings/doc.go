// Package settings reads the settings of an application from flags, the
// environment, a YAML file and defaults, in that order of precedence, and checks
// them.
//
// A [Setting] is declared once, with its default, its help text and its check. The
// application's name gives the rest: for an application shop, the setting
// amqp_url is the flag --amqp-url, the environment variable SHOP_AMQP_URL and the
// key amqp_url in ./shop.yaml. A name that ends in _file (SHOP_AMQP_URL_FILE) reads
// the value from the file that it names, as secrets are mounted.
//
//	set, err := settings.NewSet("shop", handlerNames, settings.Setting{
//		Name: "price_list", Default: "prices.csv", Usage: "file with the prices",
//	})
//	…
//	values, err := set.Load(settings.Source{Environ: os.Environ()})
//	…
//	path := values.String("price_list")
//
// All faults are reported at once, as one error with the code CONFIG. Each line names
// its setting, and an unknown name the nearest known one. No error holds the value of
// a setting whose check does not put it there, since that may be a secret.
package settings
