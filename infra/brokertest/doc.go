// Package brokertest provides brokers for tests, and network faults.
//
// [Redis] and [AMQP] return the URL of a broker that tests share: that of an environment
// variable, else the one on this machine. A test isolates itself by a [Namespace] and
// removes it with [CleanRedis] or [CleanAMQP]. [StartRedis], [StartRedisCluster] and
// [StartRabbitMQ] start a server for one test, which may kill and restart it. [Proxy] fails
// between a client and any of them as a network does.
//
// A test whose broker is missing is skipped with a line that says how to get one. With
// PITWHEEL_TEST_NO_SKIP=1, as in CI, it fails instead.
package brokertest
