"""The dashboards of deploy/grafana/, asked of a real Prometheus and drawn without Grafana."""
