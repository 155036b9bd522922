"""THE STORIES: load -> decide -> save -> show, one file each, read from top to bottom."""
