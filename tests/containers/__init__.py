"""docker-compose.yml in containers, without a registry: `make test-compose`."""
