// Package orders is what can be asked of an order and what can happen to it. The
// shop decides on it; other services, such as shipping, only read its events.
package orders

import "github.com/pitwheel/pitwheel/events"

// Place asks for a new order.
type Place struct {
	OrderID  string `json:"orderId,omitempty" doc:"derived from the command's id if left out"`
	Customer string `json:"customer" doc:"the customer's number, such as c-17"`
	Item     string `json:"item" doc:"what is ordered, such as tea"`
	Quantity int    `json:"quantity" doc:"how many"`
	Total    int    `json:"total" doc:"in cents"`
}

// CommandType is the wire name.
func (Place) CommandType() string { return "PLACE_ORDER" }

// AggregateID is the order's id, or empty if one is to be derived.
func (c Place) AggregateID() string { return c.OrderID }

// WithAggregateID returns the command for the given order.
func (c Place) WithAggregateID(id string) events.Command {
	c.OrderID = id
	return c
}

// Validate refuses an order of nothing.
func (c Place) Validate() error {
	if c.Quantity < 1 {
		return events.Invalid("quantity", "is %d; it must be 1 or more", c.Quantity)
	}
	return nil
}

// Confirm records that everything ordered is there.
type Confirm struct {
	OrderID string `json:"orderId"`
}

// CommandType is the wire name.
func (Confirm) CommandType() string { return "CONFIRM_ORDER" }

// AggregateID is the order's id.
func (c Confirm) AggregateID() string { return c.OrderID }

// Cancel ends an order.
type Cancel struct {
	OrderID string `json:"orderId"`
	Reason  string `json:"reason"`
}

// CommandType is the wire name.
func (Cancel) CommandType() string { return "CANCEL_ORDER" }

// AggregateID is the order's id.
func (c Cancel) AggregateID() string { return c.OrderID }

// Placed is the event that begins an order's history.
type Placed struct {
	OrderID  string `json:"orderId"`
	Customer string `json:"customer"`
	Item     string `json:"item"`
	Quantity int    `json:"quantity"`
	Total    int    `json:"total"`
}

// EventType is the wire name.
func (Placed) EventType() string { return "ORDER_PLACED" }

// AggregateID is the order's id.
func (e Placed) AggregateID() string { return e.OrderID }

// Confirmed is the event after which an order can be shipped.
type Confirmed struct {
	OrderID  string `json:"orderId"`
	Customer string `json:"customer"`
}

// EventType is the wire name.
func (Confirmed) EventType() string { return "ORDER_CONFIRMED" }

// AggregateID is the order's id.
func (e Confirmed) AggregateID() string { return e.OrderID }

// Cancelled is the event that ends an order.
type Cancelled struct {
	OrderID  string `json:"orderId"`
	Customer string `json:"customer"`
	Total    int    `json:"total"`
	Reason   string `json:"reason"`
}

// EventType is the wire name.
func (Cancelled) EventType() string { return "ORDER_CANCELLED" }

// AggregateID is the order's id.
func (e Cancelled) AggregateID() string { return e.OrderID }

// Order is the state of one order: no more than what decisions need to know.
type Order struct {
	Customer string `json:"customer"`
	Total    int    `json:"total"`
	Status   string `json:"status"` // empty before it is placed
}

// Apply returns the order after an event.
func (o Order) Apply(e events.Data) Order {
	switch e := e.(type) {
	case Placed:
		return Order{Customer: e.Customer, Total: e.Total, Status: "placed"}
	case Confirmed:
		o.Status = "confirmed"
	case Cancelled:
		o.Status = "cancelled"
	}
	return o
}

// Register declares the aggregate for the service that decides on orders.
func Register(c *events.Catalogue) error {
	return c.Aggregate("order",
		events.StateOf[Order](),
		events.CommandOf[Place](), events.CommandOf[Confirm](), events.CommandOf[Cancel](),
		events.EventOf[Placed](), events.EventOf[Confirmed](), events.EventOf[Cancelled](),
	)
}

// RegisterEvents declares the events alone, for services that only react to them.
func RegisterEvents(c *events.Catalogue) error {
	return c.Aggregate("order", events.EventOf[Placed](), events.EventOf[Confirmed](), events.EventOf[Cancelled]())
}
