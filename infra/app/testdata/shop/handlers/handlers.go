// Package handlers is what the shop does about its commands and events: decisions,
// a process from order to reservation to confirmation, and a projection.
package handlers

import (
	"context"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/app"
	"github.com/pitwheel/pitwheel/router"
)

// Sender sends commands.
type Sender interface {
	Send(context.Context, events.Command, events.SendOptions) (events.Receipt, error)
}

// All is the table of contents.
func All(s app.Services) []router.Handler { return list(s.Commands) }

func list(commands Sender) []router.Handler {
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
