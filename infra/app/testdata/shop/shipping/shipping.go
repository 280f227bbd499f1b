// Package shipping is the service that packs what the shop has confirmed.
package shipping

import (
	"context"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/app"
	"github.com/pitwheel/pitwheel/router"

	"example.com/shop/orders"
)

// Pack asks to pack the parcel of an order.
type Pack struct {
	OrderID  string `json:"orderId"`
	Customer string `json:"customer"`
}

// CommandType is the wire name.
func (Pack) CommandType() string { return "PACK_PARCEL" }

// AggregateID is the order's id: a parcel for each.
func (c Pack) AggregateID() string { return c.OrderID }

// Packed is the event after which a parcel waits for the carrier.
type Packed struct {
	OrderID  string `json:"orderId"`
	Customer string `json:"customer"`
}

// EventType is the wire name.
func (Packed) EventType() string { return "PARCEL_PACKED" }

// AggregateID is the order's id.
func (e Packed) AggregateID() string { return e.OrderID }

// Parcel is the state of one parcel.
type Parcel struct {
	Packed bool `json:"packed"`
}

// Apply returns the parcel after an event.
func (p Parcel) Apply(e events.Data) Parcel {
	if _, ok := e.(Packed); ok {
		p.Packed = true
	}
	return p
}

// Row is a row of the projection parcels.
type Row struct {
	Customer string `json:"customer"`
}

// Register declares the aggregate.
func Register(c *events.Catalogue) error {
	return c.Aggregate("parcel", events.StateOf[Parcel](), events.CommandOf[Pack](), events.EventOf[Packed]())
}

// Handlers is the table of contents.
func Handlers(s app.Services) []router.Handler {
	return []router.Handler{
		router.On("pack-on-confirmation", func(ctx context.Context, e router.Event[orders.Confirmed]) error {
			_, err := s.Commands.Send(ctx, Pack{OrderID: e.Data.OrderID, Customer: e.Data.Customer}, events.SendOptions{})
			return err
		}),
		router.Decide("pack-parcel", func(_ context.Context, c Pack, p Parcel) ([]events.Data, error) {
			if p.Packed {
				return nil, nil
			}
			return []events.Data{Packed(c)}, nil
		}),
		router.Project("parcels", router.Case(func(row *Row, e router.Event[Packed]) error {
			row.Customer = e.Data.Customer
			return nil
		})),
	}
}
