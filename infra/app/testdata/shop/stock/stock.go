// Package stock is what is in the warehouse: one aggregate an item.
package stock

import "github.com/pitwheel/pitwheel/events"

// Receive adds to what is there.
type Receive struct {
	Item     string `json:"item"`
	Quantity int    `json:"quantity"`
}

// CommandType is the wire name.
func (Receive) CommandType() string { return "RECEIVE_STOCK" }

// AggregateID is the item.
func (c Receive) AggregateID() string { return c.Item }

// Reserve sets some of it apart for an order.
type Reserve struct {
	Item     string `json:"item"`
	OrderID  string `json:"orderId"`
	Quantity int    `json:"quantity"`
}

// CommandType is the wire name.
func (Reserve) CommandType() string { return "RESERVE_STOCK" }

// AggregateID is the item.
func (c Reserve) AggregateID() string { return c.Item }

// Received is the event after which there is more.
type Received struct {
	Item     string `json:"item"`
	Quantity int    `json:"quantity"`
}

// EventType is the wire name.
func (Received) EventType() string { return "STOCK_RECEIVED" }

// AggregateID is the item.
func (e Received) AggregateID() string { return e.Item }

// Reserved is the event after which an order can be confirmed.
type Reserved struct {
	Item     string `json:"item"`
	OrderID  string `json:"orderId"`
	Quantity int    `json:"quantity"`
}

// EventType is the wire name.
func (Reserved) EventType() string { return "STOCK_RESERVED" }

// AggregateID is the item.
func (e Reserved) AggregateID() string { return e.Item }

// Short is the event after which an order has to be cancelled.
type Short struct {
	Item    string `json:"item"`
	OrderID string `json:"orderId"`
	Missing int    `json:"missing"`
}

// EventType is the wire name.
func (Short) EventType() string { return "STOCK_SHORT" }

// AggregateID is the item.
func (e Short) AggregateID() string { return e.Item }

// Stock is the state of one item.
type Stock struct {
	Free int `json:"free"`
}

// Apply returns the stock after an event.
func (s Stock) Apply(e events.Data) Stock {
	switch e := e.(type) {
	case Received:
		s.Free += e.Quantity
	case Reserved:
		s.Free -= e.Quantity
	}
	return s
}

// Register declares the aggregate.
func Register(c *events.Catalogue) error {
	return c.Aggregate("stock",
		events.StateOf[Stock](),
		events.CommandOf[Receive](), events.CommandOf[Reserve](),
		events.EventOf[Received](), events.EventOf[Reserved](), events.EventOf[Short](),
	)
}
