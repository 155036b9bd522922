"""Reports for people: the month's nine parts, composed of blocks from a period's facts."""
