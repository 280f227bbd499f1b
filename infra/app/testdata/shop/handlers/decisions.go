package handlers

import (
	"context"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router"

	"example.com/shop/orders"
	"example.com/shop/stock"
)

func placeOrder() router.Handler {
	return router.Decide("place-order", func(_ context.Context, c orders.Place, o orders.Order) ([]events.Data, error) {
		if o.Status != "" {
			return nil, events.Reject("ORDER_EXISTS", "the order %s exists already", c.OrderID)
		}
		return []events.Data{orders.Placed(c)}, nil
	})
}

func confirmOrder() router.Handler {
	return router.Decide("confirm-order", func(_ context.Context, c orders.Confirm, o orders.Order) ([]events.Data, error) {
		if o.Status != "placed" {
			return nil, events.Reject("ORDER_NOT_OPEN", "the order %s is %q", c.OrderID, o.Status)
		}
		return []events.Data{orders.Confirmed{OrderID: c.OrderID, Customer: o.Customer}}, nil
	})
}

func cancelOrder() router.Handler {
	return router.Decide("cancel-order", func(_ context.Context, c orders.Cancel, o orders.Order) ([]events.Data, error) {
		if o.Status == "" || o.Status == "cancelled" {
			return nil, events.Reject("ORDER_NOT_OPEN", "the order %s is %q", c.OrderID, o.Status)
		}
		return []events.Data{orders.Cancelled{OrderID: c.OrderID, Customer: o.Customer, Total: o.Total, Reason: c.Reason}}, nil
	})
}

func receiveStock() router.Handler {
	return router.Decide("receive-stock", func(_ context.Context, c stock.Receive, _ stock.Stock) ([]events.Data, error) {
		return []events.Data{stock.Received(c)}, nil
	})
}

func reserveStock() router.Handler {
	return router.Decide("reserve-stock", func(_ context.Context, c stock.Reserve, s stock.Stock) ([]events.Data, error) {
		if missing := c.Quantity - s.Free; missing > 0 {
			return []events.Data{stock.Short{Item: c.Item, OrderID: c.OrderID, Missing: missing}}, nil
		}
		return []events.Data{stock.Reserved(c)}, nil
	})
}
