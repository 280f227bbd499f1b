package handlers

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router"
	"github.com/pitwheel/pitwheel/router/routertest"

	"example.com/shop/orders"
	"example.com/shop/stock"
)

const order = "0190f3c2-0000-7000-8000-0000000000aa"

func start(t *testing.T) *routertest.Kit {
	t.Helper()
	c := events.NewCatalogue()
	for _, register := range []events.Domain{orders.Register, stock.Register} {
		if err := register(c); err != nil {
			t.Fatal(err)
		}
	}
	return routertest.StartFunc(t, c, func(commands *router.Commands) []router.Handler { return list(commands) })
}

func TestPlaceOrder(t *testing.T) {
	place := orders.Place{OrderID: order, Customer: "c-17", Item: "tea", Quantity: 2, Total: 900}
	start(t).Given().When(place).Then(orders.Placed(place))
	start(t).Given(orders.Placed(place)).When(place).Rejected("ORDER_EXISTS")
	start(t).Given().When(orders.Place{OrderID: order, Customer: "c-17", Item: "tea"}).Rejected(events.CodeInvalid)
}

// An order is confirmed if there is stock for it, and cancelled if there is not.
func TestOrderProcess(t *testing.T) {
	for name, tt := range map[string]struct {
		stock int
		last  string
		row   Customer
	}{
		"enough stock": {5, "ORDER_CONFIRMED", Customer{Orders: 1, Confirmed: 1, Spent: 900}},
		"too little":   {1, "ORDER_CANCELLED", Customer{}},
	} {
		t.Run(name, func(t *testing.T) {
			kit := start(t)
			kit.Record(stock.Received{Item: "tea", Quantity: tt.stock})
			kit.Record(orders.Placed{OrderID: order, Customer: "c-17", Item: "tea", Quantity: 2, Total: 900})
			kit.Settle()
			published := kit.Published("order.events")
			if last := published[len(published)-1]; last.Type != tt.last {
				t.Errorf("the last event is %s, not %s", last.Type, tt.last)
			}
			var row Customer
			kit.Row("orders-by-customer", "c-17", &row)
			if diff := cmp.Diff(tt.row, row); diff != "" {
				t.Errorf("the row (-want +got):\n%s", diff)
			}
		})
	}
}
