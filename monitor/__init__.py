"""zhdj-monitor 智慧党建: watches sites, judges availability by published rules, keeps the evidence."""

__version__ = "0.1.0"
