package rabbitmq

import (
	"cmp"
	"context"
)

// Identity returns which RabbitMQ this is, by whatever address it is reached: the name of
// the cluster and the vhost. Two clusters are told apart only if they have different names;
// by default a cluster is named after its first node. It waits for a connection until ctx
// ends, and then returns why there is none.
func (b *Broker) Identity(ctx context.Context) (string, error) {
	conn, err := b.publish.await(ctx)
	if err != nil {
		return "", err
	}
	name, _ := conn.Properties["cluster_name"].(string)
	product, _ := conn.Properties["product"].(string) // Of a broker whose clusters have no name.
	return cmp.Or(name, product) + " vhost " + cmp.Or(conn.Config.Vhost, "/"), nil
}
