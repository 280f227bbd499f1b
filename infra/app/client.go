package app

import (
	"context"
	"errors"

	"github.com/pitwheel/pitwheel/infra/settings"
	"github.com/pitwheel/pitwheel/router"
)

// ConnectServices connects to the brokers of a running service as a client, and returns
// services that work with them. closeAll calls what was registered with [Services.OnStop]
// and ends the connections. Errors are those of [Definition.Connect].
func (d *Definition) ConnectServices(ctx context.Context, v settings.Values) (s Services, closeAll func() error, err error) {
	drivers, err := d.Connect(ctx, v, Connection{Transport: true})
	if err != nil {
		return Services{}, nil, err
	}
	commands, err := d.NewCommands(drivers, v, nil)
	if err != nil {
		return Services{}, nil, errors.Join(err, drivers.Close())
	}
	p := newStartupProxy()
	p.setConnected(commands, drivers.Store)
	close(p.declared)
	l := &lifetime{}
	return d.services(p, v, discard(), l), func() error { return errors.Join(l.end(), drivers.Close()) }, nil
}

// NewCommands returns a sender of commands over connected drivers. Metrics may be nil.
func (d *Definition) NewCommands(drivers *Drivers, v settings.Values, m *router.Metrics) (*router.Commands, error) {
	return router.NewCommands(router.CommandsConfig{
		Catalogue: d.Catalogue, Publisher: drivers.Transport.Publisher(), Log: drivers.Store, MaxBytes: v.Int("max_message_bytes"), Metrics: m,
	})
}
