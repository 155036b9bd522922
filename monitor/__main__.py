"""`python -m monitor` is `zhdj-monitor`."""

from monitor.cli import main

main()
