package handlers

import (
	"context"
	"fmt"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/app"
	"github.com/pitwheel/pitwheel/router"

	"example.com/shop/orders"
	"example.com/shop/stock"
)

// reserveOnOrder sends a follow-up command. Its id is derived from the event, so that
// a retried handler sends the same command again.
func reserveOnOrder(commands app.Commands) router.Handler {
	return router.On("reserve-on-order", func(ctx context.Context, e router.Event[orders.Placed]) error {
		_, err := commands.Send(ctx, stock.Reserve{Item: e.Data.Item, OrderID: e.Data.OrderID, Quantity: e.Data.Quantity}, events.SendOptions{})
		return err
	})
}

func confirmOnReservation(commands app.Commands) router.Handler {
	return router.On("confirm-on-reservation", func(ctx context.Context, e router.Event[stock.Reserved]) error {
		_, err := commands.Send(ctx, orders.Confirm{OrderID: e.Data.OrderID}, events.SendOptions{})
		return err
	})
}

func cancelOnShortage(commands app.Commands) router.Handler {
	return router.On("cancel-on-shortage", func(ctx context.Context, e router.Event[stock.Short]) error {
		reason := fmt.Sprintf("%d of %s missing", e.Data.Missing, e.Data.Item)
		_, err := commands.Send(ctx, orders.Cancel{OrderID: e.Data.OrderID, Reason: reason}, events.SendOptions{})
		return err
	})
}
