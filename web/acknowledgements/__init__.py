"""Keep acknowledgements of alerts for all who watch: in a file, or in a compacted topic.

It must not know routes, streams or the feed.
"""
