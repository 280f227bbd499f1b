package handlers

import (
	"github.com/pitwheel/pitwheel/router"

	"example.com/shop/orders"
)

// Customer is a row of the projection orders-by-customer.
type Customer struct {
	Orders    int `json:"orders"`
	Confirmed int `json:"confirmed"`
	Spent     int `json:"spent"` // in cents
}

// ordersByCustomer has one row a customer, whatever orders their events are about.
func ordersByCustomer() router.Handler {
	return router.Project("orders-by-customer",
		router.CaseBy(func(e router.Event[orders.Placed]) string { return e.Data.Customer },
			func(row *Customer, e router.Event[orders.Placed]) error {
				row.Orders++
				row.Spent += e.Data.Total
				return nil
			}),
		router.CaseBy(func(e router.Event[orders.Confirmed]) string { return e.Data.Customer },
			func(row *Customer, _ router.Event[orders.Confirmed]) error {
				row.Confirmed++
				return nil
			}),
		router.CaseBy(func(e router.Event[orders.Cancelled]) string { return e.Data.Customer },
			func(row *Customer, e router.Event[orders.Cancelled]) error {
				row.Orders--
				row.Spent -= e.Data.Total
				return nil
			}),
	)
}
