// Package app assembles an application: settings, drivers, router and HTTP around a
// team's own domains and handlers.
package app
