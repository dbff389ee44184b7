"""gunicorn's own defaults, so that it does not take the product's configuration file."""

control_socket_disable = True
graceful_timeout = 1
worker_connections = 2000
