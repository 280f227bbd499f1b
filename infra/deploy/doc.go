// Package deploy holds what docker-compose.yml needs: the application's image, the
// settings of Prometheus, and Grafana's datasource and dashboard. It has no code
// but the test that keeps these files in step with the metrics of the program.
package deploy
