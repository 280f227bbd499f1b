// Package redisdb keeps everything that must be remembered in Redis: the
// partitioned log with the outcomes of commands, checkpoints, the rows of
// projections, the inbox, leases, and messages on streams. It needs Redis 7 and
// also works on the in-process one of the package embedded.
//
// # Keys
//
// Every key starts with "{namespace}:" if there is a namespace. {p3} and the like
// are hash tags: the keys of one script always share one, so that a Redis Cluster
// keeps them together.
//
//	store                          hash: how the store was made
//	{p3}:log                       stream: the events of partition 3; entry ids are 1-0, 2-0, … without gap
//	{p3}:end                       the position of the last event
//	{p3}:index:user:ID             list: the positions of one aggregate's events; its length is the version
//	{p3}:outcome:user:ID:COMMAND   the outcome of a command on an aggregate, for a while
//	{p3}:snapshot:user:ID          hash: a state at a version
//	{view:NAME}:rows, :keys        hash and sorted set: the rows of a projection and their order
//	{view:NAME}:cursor             hash: how far the projection has read each partition
//	{letters}:letter:ID            hash: a poison letter
//	{letters}:index, :index:NAME   sorted sets: all letters, and those of a handler, by their last failure
//	{letters}:counts, :revision    how many letters each handler has; how many changes there were
//	{letters}:audit                stream: what was done to letters, by whom and why
//	checkpoint:ROLE                hash: how far a role has read each partition
//	inbox:{HANDLER}:N              set: ids of messages that the handler has handled in a stretch of time
//	{parking:HANDLER}:blockers     hash: key → the message that it waits for
//	{parking:HANDLER}:order:KEY, :parked:KEY  list and hash: the messages that wait behind it
//	{parking:HANDLER}:count        how many these are, of all keys
//	{parking:HANDLER}:done         hash: key → the message handled last, while the key waits for one
//	delayed:{QUEUE}                sorted set: messages of a queue that wait for their time
//	lease:ROLE                     who holds a role
//	user.events, user.commands     stream: messages of a topic; one consumer group a queue
//	QUEUE, QUEUE.poison            stream: messages straight to a queue
//	bindings:TOPIC                 set: the types of a topic that some queue takes
//	alive:CONSUMER                 exists while a consumer lives, or says that it left
//	{p3}:touch                     written once a second while Redis refuses writes, to see when it takes them again
//
// Start reading at [Open], then at Append in log.go with append.lua beside it.
package redisdb
