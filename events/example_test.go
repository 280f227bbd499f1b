package events_test

import (
	"encoding/json"
	"fmt"

	"github.com/pitwheel/pitwheel/events"
)

// Book asks for a booking of an order.
type Book struct {
	OrderID string `json:"orderId" doc:"the order's id"`
	Amount  int    `json:"amount" doc:"in cents"`
}

func (Book) CommandType() string   { return "BOOK_ORDER" }
func (c Book) AggregateID() string { return c.OrderID }

// Validate checks what can be checked without the order.
func (c Book) Validate() error {
	if c.Amount <= 0 {
		return events.Invalid("amount", "must be above 0")
	}
	return nil
}

// Booked is what was paid for an order. Its first version had no currency.
type Booked struct {
	OrderID  string `json:"orderId"`
	Amount   int    `json:"amount"`
	Currency string `json:"currency"`
}

func (Booked) EventType() string     { return "ORDER_BOOKED" }
func (e Booked) AggregateID() string { return e.OrderID }

// Order is the state of an order: what its events have come to.
type Order struct {
	Paid int
}

// Apply returns the order after an event.
func (o Order) Apply(e events.Data) Order {
	if e, ok := e.(Booked); ok {
		o.Paid += e.Amount
	}
	return o
}

// Register declares the aggregate "order" and its types.
func Register(c *events.Catalogue) error {
	return c.Aggregate("order",
		events.StateOf[Order](),
		events.CommandOf[Book](),
		events.EventOf[Booked](events.Upcast{From: 1, Func: addCurrency}),
	)
}

// addCurrency turns data of the first version into data of the second.
func addCurrency(old json.RawMessage) (json.RawMessage, error) {
	data := Booked{Currency: "EUR"} // The only one then.
	if err := json.Unmarshal(old, &data); err != nil {
		return nil, err
	}
	return json.Marshal(data)
}

// A domain of one's own: an event, a command, a state, and a function that registers them.
func Example() {
	catalogue := events.NewCatalogue()
	if err := Register(catalogue); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(catalogue.Commands(), catalogue.Events())

	cmd, err := catalogue.ParseCommand("BOOK_ORDER", json.RawMessage(`{"orderId":"7","amount":5}`))
	fmt.Printf("%+v %v\n", cmd, err)
	_, err = catalogue.ParseCommand("BOOK_ORDER", json.RawMessage(`{"orderId":"7","amount":0}`))
	fmt.Println(err)

	state := Order{}.Apply(Booked{OrderID: "7", Amount: 5, Currency: "EUR"})
	fmt.Printf("%+v\n", state)
	// Output:
	// [BOOK_ORDER] [ORDER_BOOKED]
	// {OrderID:7 Amount:5} <nil>
	// amount: must be above 0
	// {Paid:5}
}

// After the data of an event have changed, an upcaster lets those be read that are stored
// in the old form.
func ExampleEventOf() {
	catalogue := events.NewCatalogue()
	err := catalogue.Aggregate("order", events.EventOf[Booked](events.Upcast{From: 1, Func: addCurrency}))
	if err != nil {
		fmt.Println(err)
		return
	}
	v, err := catalogue.DecodeData(events.Envelope{
		Header: events.Header{Type: "ORDER_BOOKED", SchemaVersion: 1},
		Data:   json.RawMessage(`{"orderId":"7","amount":5}`),
	})
	fmt.Printf("%+v %v\n", v, err)
	// Output: {OrderID:7 Amount:5 Currency:EUR} <nil>
}

// A domain refuses a command with a code that senders can rely on.
func ExampleReject() {
	err := events.Reject("ORDER_CLOSED", "the order %s is closed", "7")
	rejection, ok := events.AsRejection(err)
	fmt.Println(ok, rejection.Code, err)
	// Output: true ORDER_CLOSED the order 7 is closed
}
