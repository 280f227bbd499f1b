// Package redis keeps everything that must be remembered in Redis, in one [Store]:
//
//	conn         the connection: pipelines shared by all callers, scripts, health
//	eventlog     the partitioned log with the outcomes of commands, and checkpoints
//	streams      messages on Redis Streams: the transport that needs no other broker
//	projections  the rows and cursors of projections
//	inbox        which foreign messages each handler has handled
//	ledger       which events of the log each reaction has settled
//	parking      messages that wait behind a failed one of their key
//	poisonstore  messages that a handler failed to process
//	lease        which instance holds a role
//	record       what the store was made for
//	topology     which handlers are in force, and what former ones have left behind
//	replays      how far replays of history have come
//	transports   what carries the messages of running services
//
// Each part but record, replays and transports implements a port of the package router. It needs Redis 7, alone or as a
// cluster, and also works on the in-process one of the package embedded.
//
// # Keys
//
// Every key starts with "{namespace}:" if there is a namespace. {p3} and the like are hash
// tags: the keys of one script always share one, so that a Redis Cluster keeps them
// together.
//
//	store                           hash: how the store was made
//	{p3}:log                        stream: the events of partition 3; entry ids are 1-0, 2-0, … without gap
//	{p3}:end                        the position of the last event
//	{p3}:gaps                       what the partition has lost, if Redis was put back; see eventlog/gaps.go
//	epoch                           how often the log has lost its end, if it ever has
//	{p3}:index:user:ID              list: the positions of one aggregate's events; its length is the version
//	{p3}:outcome:user:ID:COMMAND    the outcome of a command on an aggregate, for a while
//	{p3}:snapshot:user:ID           hash: a state at a version
//	{p3}:touch                      written once a second while Redis refuses writes, to notice when it accepts them
//	{projection:NAME}:rows, :keys   hash and sorted set: the rows of a projection and their order
//	{projection:NAME}:cursor        hash: how far the projection has read each partition
//	{poison}:message:ID             hash: a poison message
//	{poison}:index, :index:NAME     sorted sets: all poison messages, and those of a handler, by their last failure
//	{poison}:claim:ID               which operation is at work on a poison message, for a while
//	{poison}:counts, :revision      how many poison messages each handler has; how many changes there were
//	{poison}:audit                  stream: what was done to poison messages, by whom and why
//	checkpoint:ROLE                 hash: how far a role has read each partition
//	inbox:{HANDLER}:N               set: ids of foreign messages that the handler has handled in a stretch of time
//	ledger:{HANDLER}, …             what the handler has settled of the log; see package ledger
//	ledger:reports                  hash: the last report about each handler's ledger
//	{parking:HANDLER}:blockers      hash: key → the message that it waits for
//	{parking:HANDLER}:order:KEY     list: the messages that wait behind it
//	{parking:HANDLER}:parked:KEY    hash: these messages, whole
//	{parking:HANDLER}:count         how many these are, of all keys
//	{parking:HANDLER}:done          hash: key → the message handled last, while the key waits for one
//	topology                        hash: what running instances declare; see package topology
//	replay:NAME                     how far an interrupted replay has come, for 30 days
//	lease:ROLE                      the token of the instance that holds a role
//	user.events, user.commands      stream: messages of a topic; one consumer group a queue
//	QUEUE, QUEUE.poison             stream: messages published straight into a queue
//	delayed:{QUEUE}                 sorted set: messages of a queue that are not due yet
//	queues:TOPIC                    hash: queue → the types of the topic that it receives, [] for all
//	transport:KIND                  exists while a service uses this transport, for a minute: its address
//	alive:CONSUMER                  exists while a consumer is alive, or says that it has left
//
// The README of the repository says which of them grow, by how many bytes, and how long they are
// kept. All else has a fixed size or expires within minutes.
//
// Start reading at [Open], then at Append in eventlog/log.go with its append.lua.
package redis
