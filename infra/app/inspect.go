package app

import (
	"github.com/pitwheel/pitwheel/infra/settings"
	"github.com/pitwheel/pitwheel/router"
)

// Inspect returns the router of an application on the brokers of a running service, to be
// asked about its ledgers, and not to be run.
func (d *Definition) Inspect(drivers *Drivers, v settings.Values) (*router.Router, error) {
	store := drivers.Store
	return router.New(router.Config{
		Catalogue: d.Catalogue, Handlers: d.Handlers, Overrides: v.Handlers,
		Transport: drivers.Transport, Log: store, Reader: store, Checkpoints: store, Projections: store, Elector: store,
		Ledger: store, Audit: store, Marker: drivers.marker(),
	})
}

// marker returns what the auditor needs of the transport.
func (d *Drivers) marker() router.Marker {
	m, _ := d.Transport.(router.Marker)
	return m
}
