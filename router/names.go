package router

func commandTopic(aggregate string) string { return aggregate + ".commands" }

func eventTopic(aggregate string) string { return aggregate + ".events" }

// poisonQueue is where a queue's owner puts what it cannot handle.
func poisonQueue(queue string) string { return queue + ".poison" }
