"""Find alerts in the feed by the rule of the page, and send them to a webhook.

It must not know sources, messages, clients or the readers of a source.
"""
