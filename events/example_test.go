package events_test

import (
	"encoding/json"
	"fmt"

	"github.com/pitwheel/pitwheel/events"
)

// booked is what was paid for an order. At first there was no currency in it.
type booked struct {
	Amount   int    `json:"amount"`
	Currency string `json:"currency"`
}

func (booked) EventType() string { return "ORDER_BOOKED" }

// Once an event has another form, an upcaster lets those be read that are stored in the
// old one.
func ExampleEventOf() {
	addCurrency := func(old json.RawMessage) (json.RawMessage, error) {
		data := booked{Currency: "EUR"} // There was no other one then.
		if err := json.Unmarshal(old, &data); err != nil {
			return nil, err
		}
		return json.Marshal(data)
	}
	catalogue := events.NewCatalogue()
	err := catalogue.Aggregate("order", events.EventOf[booked](events.Upcast{From: 1, Func: addCurrency}))
	if err != nil {
		fmt.Println(err)
		return
	}

	v, err := catalogue.DecodeData(events.Envelope{
		Header: events.Header{Type: "ORDER_BOOKED", SchemaVersion: 1},
		Data:   json.RawMessage(`{"amount":5}`),
	})
	fmt.Printf("%+v %v\n", v, err)
	// Output: {Amount:5 Currency:EUR} <nil>
}
