// Package handlers is what the shop does about its commands and events: decisions,
// a process from order to reservation to confirmation, and a projection.
package handlers

import (
	"github.com/pitwheel/pitwheel/infra/app"
	"github.com/pitwheel/pitwheel/router"
)

// All is the table of contents.
func All(s app.Services) []router.Handler { return list(s.Commands) }

func list(commands app.Commands) []router.Handler {
	return []router.Handler{
		placeOrder(),
		confirmOrder(),
		cancelOrder(),
		receiveStock(),
		reserveStock(),
		reserveOnOrder(commands),
		confirmOnReservation(commands),
		cancelOnShortage(commands),
		ordersByCustomer(),
	}
}
