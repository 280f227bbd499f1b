package events

import "strings"

// The suffixes of the names that services share: an aggregate has two
// topics (exchanges on RabbitMQ, streams on Redis), and every queue has a poison
// queue.
const (
	commandsSuffix = ".commands"
	eventsSuffix   = ".events"
	poisonSuffix   = ".poison"
)

// CommandTopic is the topic that an aggregate's commands travel on: user.commands.
func CommandTopic(aggregate string) string { return aggregate + commandsSuffix }

// EventTopic is the topic that an aggregate's events travel on: user.events.
func EventTopic(aggregate string) string { return aggregate + eventsSuffix }

// IsCommandTopic reports whether a topic carries commands: a command that no queue
// is bound for is an error to its sender, an event is not.
func IsCommandTopic(topic string) bool { return strings.HasSuffix(topic, commandsSuffix) }

// PoisonQueue is where a queue's handler puts messages that it failed to process.
func PoisonQueue(queue string) string { return queue + poisonSuffix }

// IsPoisonQueue reports whether a name is that of a poison queue.
func IsPoisonQueue(queue string) bool { return strings.HasSuffix(queue, poisonSuffix) }
