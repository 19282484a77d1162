"""The report: figures with their tables, HTML, Markdown, model card and facts about the data."""
