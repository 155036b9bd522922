"""LISTENS: MQTT, HTTP and probes. What comes is parsed and handed to the Observer (docs/architecture.md)."""
