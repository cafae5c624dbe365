"""The guide: Markdown pages for people, what there is of them, and how they are shown."""
