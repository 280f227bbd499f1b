package events

import (
	"reflect"
	"testing"
)

// Two versions of a program have the same type by its name, which only declarations
// within functions can show here.
func TestStateOf_SchemaSeesNestedTypes(t *testing.T) {
	t.Parallel()
	shapes := map[string]int{}
	for i, s := range []string{
		func() string {
			type inner struct{ Cents int }
			type state struct{ In inner }
			return shape(reflect.TypeFor[state]())
		}(),
		func() string {
			type inner struct{ Euros int }
			type state struct{ In inner }
			return shape(reflect.TypeFor[state]())
		}(),
		func() string {
			type inner struct{ Euros int }
			type state struct{ In []inner }
			return shape(reflect.TypeFor[state]())
		}(),
		func() string {
			type inner struct{ Euros int64 }
			type state struct{ In []inner }
			return shape(reflect.TypeFor[state]())
		}(),
		func() string {
			type inner struct{ Euros int }
			type state struct{ In map[string]*inner }
			return shape(reflect.TypeFor[state]())
		}(),
		func() string {
			type inner struct{ Cents int }
			type state struct{ In map[string]*inner }
			return shape(reflect.TypeFor[state]())
		}(),
	} {
		if first, ok := shapes[s]; ok {
			t.Errorf("the states %d and %d have the same shape", first, i)
		}
		shapes[s] = i
	}
	type tree struct{ Children []tree }
	if s := shape(reflect.TypeFor[tree]()); s == "" { // It has an end.
		t.Error("a type that holds itself has no shape")
	}
}

type base struct {
	ID string `json:"id"`
}

type embedding struct {
	base
	Name string `json:"name"`
}

func (embedding) CommandType() string { return "EMBED" }
func (embedding) AggregateID() string { return "" }

func TestCommandOf_EmbeddedStruct(t *testing.T) {
	t.Parallel()
	if err := NewCatalogue().Aggregate("thing", CommandOf[embedding]()); CodeOf(err) != CodeConfig {
		t.Errorf("got %v, want CONFIG", err)
	}
}
