package record

import (
	"cmp"
	"context"
	_ "embed" // a script
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/redis/go-redis/v9"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/redis/conn"
	"github.com/pitwheel/pitwheel/infra/redis/eventlog"
	"github.com/pitwheel/pitwheel/infra/redis/transports"
)

// The fields of the record.
const (
	fieldLog        = "log_id"
	fieldPartitions = "partitions"
	fieldTransport  = "transport"
	fieldBroker     = "broker"
	fieldNamespace  = "exchange_namespace"
)

//go:embed claim.lua
var claimLua string

// Use is what carries the messages of a store.
type Use struct {
	// Transport is [transports.RabbitMQ] or [transports.RedisStreams]. Empty: not known, as in
	// a store that no instance has served yet.
	Transport string
	// Broker identifies the RabbitMQ, wherever it is reached. Empty: there is none, or it is
	// not known.
	Broker string
	// Namespace is the prefix of exchanges and queues. Empty: none.
	Namespace string
}

// String returns transport and broker in words.
func (u Use) String() string {
	if u.Transport != transports.RabbitMQ {
		return "Redis Streams"
	}
	return strings.TrimSpace("RabbitMQ " + u.Broker)
}

// Info is the record of a store.
type Info struct {
	// LogID is a short random text, made with the store: another log has another one, also
	// if it takes the place of one that was deleted.
	LogID string
	// Partitions is how many parts the log has.
	Partitions int
	Use
}

// StoreRecord is the record of a store. It is safe for concurrent use.
type StoreRecord struct {
	conn       *conn.Conn
	claim      *conn.Script
	key        string
	readOnly   bool
	partitions int
	use        atomic.Pointer[Use] // what was claimed; nil: nothing yet
	opened     atomic.Bool         // the record was there, or was made, once
}

// Open returns the record of a store, and how many partitions its log has. It is to be called while [conn.Open]
// prepares.
//
// A store without a record is made with the wanted number; 0 is [eventlog.DefaultPartitions]. With
// readOnly nothing is ever made, and such a store counts as one with that number. A store
// with another number than a wanted one is an error with the code CONFIG.
func Open(ctx context.Context, c *conn.Conn, wanted int, readOnly bool) (r *StoreRecord, partitions int, err error) {
	r = &StoreRecord{conn: c, claim: conn.NewScript(claimLua), key: c.Key("store"), readOnly: readOnly, partitions: cmp.Or(wanted, eventlog.DefaultPartitions)}
	info, _, err := r.call(ctx, r.once, 2, fieldLog, newLogID(), fieldPartitions, r.partitions)
	if err != nil {
		return nil, 0, err
	}
	if wanted != 0 && wanted != info.Partitions && info.Partitions != 0 {
		return nil, 0, events.Errorf(events.CodeConfig, "the store in Redis was made with %d partitions, and %d are wanted", info.Partitions, wanted).WithField("Partitions").
			WithHint("leave the number out, or use another namespace: the partitions of a store cannot be changed")
	}
	r.partitions = cmp.Or(info.Partitions, r.partitions)
	return r, r.partitions, nil
}

// StoreInfo returns the record; the zero value if there is none.
func (r *StoreRecord) StoreInfo(ctx context.Context) (Info, error) {
	reply, err := r.conn.Do(ctx, "hgetall", r.key)
	if err != nil {
		return Info{}, err
	}
	return r.parse(reply)
}

// LogID returns the id of the log that is in Redis at the time of the call. A store that was
// emptied has another one than before: this call, too, makes its record again. The id is
// empty if the store is opened for reading and does not exist.
func (r *StoreRecord) LogID(ctx context.Context) (string, error) {
	info, _, err := r.check(ctx)
	return info.LogID, err
}

// ClaimStore records what this instance uses, unless the record names something else: then the
// error has the code CONFIG, and its field is "Transport", "Broker", "Namespace" or
// "Partitions". What is claimed is also what later calls of LogID record again. It
// returns whether there was no record.
func (r *StoreRecord) ClaimStore(ctx context.Context, use Use) (made bool, err error) {
	before := r.use.Swap(&use)
	_, made, err = r.check(ctx)
	if IsMismatch(err) {
		r.use.Store(before)
	}
	return made, err
}

// AdoptStore records another use, whatever the record says, and returns the record as it was. A
// store that does not exist is an error with the code NOT_FOUND.
func (r *StoreRecord) AdoptStore(ctx context.Context, use Use) (before Info, err error) {
	if before, err = r.StoreInfo(ctx); err != nil {
		return before, err
	}
	if before.Partitions == 0 {
		return before, events.Errorf(events.CodeNotFound, "there is no store in Redis under the key %s", r.key)
	}
	_, err = r.conn.Do(ctx, "hset", r.key, fieldTransport, use.Transport, fieldBroker, use.Broker, fieldNamespace, use.Namespace)
	return before, err
}

// check compares the record with what this instance uses, and completes it.
func (r *StoreRecord) check(ctx context.Context) (info Info, made bool, err error) {
	pairs := []any{fieldLog, newLogID(), fieldPartitions, r.partitions}
	use := r.use.Load()
	if use != nil {
		pairs = append(pairs, fieldTransport, use.Transport, fieldNamespace, use.Namespace)
		if use.Broker != "" {
			pairs = append(pairs, fieldBroker, use.Broker)
		}
	}
	info, made, err = r.call(ctx, r.conn.Send, 1, pairs...)
	if err != nil || r.readOnly && info.Partitions == 0 {
		return info, false, err
	}
	if info.Partitions != r.partitions {
		return info, false, differs("Partitions", fmt.Sprint(info.Partitions, " partitions"), fmt.Sprint(r.partitions)).
			WithHint("restart this instance: Redis was emptied, and the store was made again with another number")
	}
	if made && r.opened.Load() {
		r.conn.Logger().ErrorContext(ctx, "Redis has lost the record of this store, and so probably all data; the record is made again, and the log begins anew", "log", info.LogID)
	}
	r.opened.Store(true)
	if use != nil {
		err = info.Check(*use)
	}
	return info, made, err
}

// Check returns an error if the record names something else than what an instance uses, as
// [StoreRecord.ClaimStore] does. It compares what both know.
func (i Info) Check(use Use) error {
	switch {
	case i.Transport == "":
		return nil
	case i.Transport != use.Transport || use.Broker != "" && i.Broker != "" && i.Broker != use.Broker:
		field := "Broker"
		if i.Transport != use.Transport {
			field = "Transport"
		}
		return differs(field, i.Use.String(), use.String())
	case i.Namespace != use.Namespace:
		return differs("Namespace", fmt.Sprintf("exchanges and queues with the prefix %q", i.Namespace), fmt.Sprintf("the prefix %q", use.Namespace))
	}
	return nil
}

// IsMismatch reports whether an error of [StoreRecord.ClaimStore] or [Info.Check] says that the
// record names something else, and not that Redis has refused to tell.
func IsMismatch(err error) bool {
	var e *events.Error
	return errors.As(err, &e) && e.Code == events.CodeConfig && slices.Contains([]string{"Transport", "Broker", "Namespace", "Partitions"}, e.Field)
}

// differs returns the error for an instance that uses something else than its store.
func differs(field, there, here string) *events.Error {
	return events.Errorf(events.CodeConfig, "the store in Redis was made for %s, and this instance uses %s", there, here).WithField(field)
}

// call runs the script, or only reads where nothing may be made.
func (r *StoreRecord) call(ctx context.Context, send func(context.Context, ...*redis.Cmd) error, proposals int, pairs ...any) (info Info, made bool, err error) {
	cmd := redis.NewCmd(ctx, "hgetall", r.key)
	if !r.readOnly {
		cmd = redis.NewCmd(ctx, append(append(r.claim.Append(nil, r.key), proposals), pairs...)...)
	}
	if err := send(ctx, cmd); err != nil {
		return Info{}, false, err
	}
	reply, err := cmd.Result()
	if err != nil {
		return Info{}, false, r.conn.Explain(err)
	}
	if list, _ := reply.([]any); !r.readOnly && len(list) == 2 {
		made, reply = list[0] == int64(1), list[1]
	}
	info, err = r.parse(reply)
	return info, made, err
}

// once sends a command while the connection is being made.
func (r *StoreRecord) once(_ context.Context, cmds ...*redis.Cmd) error {
	r.conn.Execute(cmds)
	return nil
}

// parse reads the fields of a record. One that does not exist is the zero value.
func (r *StoreRecord) parse(reply any) (Info, error) {
	fields, _ := reply.([]any)
	if len(fields) == 0 {
		return Info{}, nil
	}
	text := func(name string) string { s, _ := conn.FieldText(fields, name); return s }
	n, err := strconv.Atoi(text(fieldPartitions))
	if err != nil || n < 1 || n > eventlog.MaxPartitions {
		return Info{}, events.Errorf(events.CodeConfig, "the key %s in Redis says that the store has %q partitions; it does not belong to this framework, or is damaged", r.key, text(fieldPartitions)).WithField("Namespace")
	}
	return Info{
		LogID: text(fieldLog), Partitions: n,
		Use: Use{Transport: text(fieldTransport), Broker: text(fieldBroker), Namespace: text(fieldNamespace)},
	}, nil
}

// newLogID returns eight random characters: the end of a UUID, whose beginning may be a time.
func newLogID() string {
	id := events.NewID()
	return id[len(id)-8:]
}
