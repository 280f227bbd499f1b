package mail

import (
	"errors"
	"fmt"
	"net/http"
	netmail "net/mail"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/app"
	"github.com/pitwheel/pitwheel/infra/settings"
	"github.com/pitwheel/pitwheel/infra/telemetry"
)

// Settings returns the settings of an application that sends mail: smtp_url and
// mail_from.
func Settings() []settings.Setting {
	return []settings.Setting{
		{Name: "smtp_url", Usage: "mail server, smtp:// or smtps://; empty: mail is discarded", Check: settings.URL("smtp", "smtps")},
		{Name: "mail_from", Default: DefaultFrom, Usage: "sender of every mail", Check: checkFrom},
	}
}

func checkFrom(v string) error {
	if _, err := netmail.ParseAddress(v); err != nil {
		return fmt.Errorf("is %q; it must be an address such as Ada <ada@example.com>", v)
	}
	return nil
}

// FromServices returns a Sender with the settings of an application that declares
// [Settings]. It is closed at the end of the run. A wrong setting fails the start.
func FromServices(s app.Services) *Sender {
	sender, err := Open(Config{URL: s.Settings.String("smtp_url"), From: s.Settings.String("mail_from"), Logger: s.Logger})
	if err != nil {
		s.Fail(named(err, map[string]string{"URL": "smtp_url", "From": "mail_from"}))
		return &Sender{broken: err}
	}
	s.OnStop(sender.Close)
	return sender
}

// named returns err with the name of a setting in place of that of a field.
func named(err error, settings map[string]string) error {
	var e *events.Error
	if errors.As(err, &e) && settings[e.Field] != "" {
		return e.WithField(settings[e.Field])
	}
	return err
}

// DevService returns a [Catcher] as a service of dev: it catches the mail of an
// application that declares [Settings], and shows it at /mail. It has the setting
// dev_smtp_addr. If a flag gives smtp_url, mail is sent there, and nothing is caught.
func DevService() app.DevService {
	const addr = "dev_smtp_addr"
	return app.DevService{
		Name:     "Mail",
		Settings: []settings.Setting{{Name: addr, Default: DefaultCatcherAddr, Usage: "where dev catches mail", Check: settings.Address}},
		Start: func(e app.DevEnvironment) (*app.DevInstance, error) {
			if url := e.Settings.String("smtp_url"); url != "" && e.Settings.Origin("smtp_url").Source == settings.SourceFlag {
				return &app.DevInstance{
					URL:   telemetry.RedactURL(url),
					About: func(string) string { return "mail is sent, not caught" },
				}, nil
			}
			c, err := StartCatcher(CatcherConfig{
				Addr: e.Settings.String(addr), Logger: e.Logger,
				OnCaught: func(m Caught) { e.Report("mail", fmt.Sprintf("%s  %q", m.To, m.Subject)) },
			})
			if err != nil {
				return nil, named(err, map[string]string{"Addr": addr})
			}
			url := "smtp://" + c.Addr()
			return &app.DevInstance{
				URL:       url,
				About:     func(http string) string { return "caught, never delivered: http://" + http + "/mail" },
				Overrides: map[string]string{"smtp_url": url},
				Routes:    map[string]http.Handler{"GET /mail": c},
				Close:     c.Close,
			}, nil
		},
	}
}
