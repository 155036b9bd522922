"""SHOWS AND ASKS: pages and the service's own endpoints."""
